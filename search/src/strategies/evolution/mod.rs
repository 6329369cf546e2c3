pub(crate) mod guided;
mod acquisition;
mod breed;
pub(crate) fn build() -> Box<dyn crate::strategy::Strategy> { Box::new(guided::Guided::new(crate::predictor::gaussian::Kernel::smooth())) }
