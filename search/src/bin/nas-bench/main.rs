mod blocks; mod columns; mod csv; mod instance; mod network; mod run; mod table;
use search::strategies::*; use search::strategy::Goal;
fn main() -> anyhow::Result<()> {
    let a: Vec<String> = std::env::args().collect();
    let dir = std::path::Path::new("/work/shared/bench/nas");
    let table = table::Table::open(dir, &a[1])?;
    let strategy: StrategyConfig = serde_json::from_str(&a[2])?;
    let seeds: u64 = a[3].parse()?;
    for ds in a[4].split(',') {
    for ns in a[5].split(',') {
        let n: u32 = ns.parse()?;
        let acc = table.accuracies(ds)?;
        let mut jobs = vec![];
        let small = a.len() > 6;
        for (k, d) in table.devices.iter().enumerate() { for (j, q) in [0.1, 0.3, 0.5].into_iter().enumerate() {
            if small && (k + j) % 3 != 0 { continue; }
            let mut l: Vec<f64> = d.latency_ms.clone(); l.sort_by(f64::total_cmp);
            let p = q * (l.len() - 1) as f64; let lo = p.floor() as usize;
            let bound = l[lo] + (p - p.floor()) * (l[lo + 1] - l[lo]);
            for s in 0..seeds { jobs.push((d, q, bound, s)); }
        }}
        let next = std::sync::atomic::AtomicUsize::new(0);
        let out = std::sync::Mutex::new(vec![]);
        let t0 = std::time::Instant::now();
        std::thread::scope(|sc| { for _ in 0..2 { sc.spawn(|| loop {
            let i = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let Some((d, q, bound, s)) = jobs.get(i) else { break };
            let inst = instance::Instance::new(&table.networks, &table.rows, &acc, d, *bound).unwrap();
            let r = run::run(&inst, &strategy, Goal::Accuracy, n, *s).unwrap();
            let best = r.read.iter().map(|i| acc.full[*i]).fold(0.0, f64::max);
            out.lock().unwrap().push((d.name.clone(), *q, inst.best() - best, r.violations, r.read.len()));
        }); }});
        let out = out.into_inner().unwrap();
        let mut by = std::collections::BTreeMap::new();
        for o in &out { let e = by.entry(format!("{}/{}", o.0, o.1)).or_insert((0.0, 0)); e.0 += o.2; e.1 += 1; }
        if std::env::var("V").is_ok() { for (k, v) in &by { println!("{k:25} {:.3}", v.0 / f64::from(v.1)); } }
        let m = out.iter().map(|o| o.2).sum::<f64>() / out.len() as f64;
        let q: Vec<String> = [0.1, 0.3, 0.5].iter().map(|q| { let v: Vec<f64> = out.iter().filter(|o| o.1 == *q).map(|o| o.2).collect(); format!("{:.3}", v.iter().sum::<f64>() / v.len() as f64) }).collect();
        println!("{ds} N={n} mean {m:.3} by q {q:?} viol {} read {} time {:.1}s", out.iter().map(|o| o.3).sum::<usize>(), out[0].4, t0.elapsed().as_secs_f64());
    }}
    Ok(())
}
