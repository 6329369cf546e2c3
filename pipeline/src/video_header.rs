//! What a video source says of its whole stream, as the stream's header.

/// Size and rate of a stream of frames.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct VideoHeader {
    /// Pixels; 0 where they differ from frame to frame.
    pub width: usize,
    pub height: usize,
    /// Frames per second; 0 where it isn't known.
    pub frame_rate: f64,
}
