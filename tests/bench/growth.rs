//! How what clustering costs grows with the images: the batch run, one insert, one delete, memory and a restart.
//!
//! `cargo bench --bench growth` prints the table of tests/bench/measured/density.md with the exponents that straight
//! lines through the logarithms have, and draws tests/bench/measured/growth.svg; `-- 5000 20000` takes other numbers.
//! Each number of vectors is measured in a process of its own, so that its memory can be told: the most that was
//! resident less what the vectors take. A restart is that of `culld serve` on a store of so many images (`stored.rs`),
//! from the start of the process until the followed clusters are listed.
//!
//! It ends with an error where more than 1 GiB is taken beside the vectors, or where anything grows faster than all pairs
//! do.

#[path = "common.rs"]
mod common;
#[path = "stored.rs"]
mod stored;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use common::{CHANGES, EPS, Following, Outcome, generate, load, memory_mib, quantile};
use culld::types::PointOffset;
use plotters::prelude::*;
use stored::{Served, fill};

const SIZES: [usize; 5] = [5_000, 10_000, 20_000, 50_000, 100_000];
const COLUMNS: [&str; 7] = [
    "batch, s",
    "insert, median ms",
    "insert, p99 ms",
    "delete, median ms",
    "delete, p99 ms",
    "memory beside the vectors, MiB",
    "restart, s",
];
const MEMORY_COLUMN: usize = 5;
const MEMORY_MIB_MAX: f64 = 1024.0;
/// All pairs grow with the square; a tenth is left for chance.
const EXPONENT_MAX: f64 = 2.1;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [child, points] = &arguments[..]
        && child == "child"
    {
        return figures(points.parse()?);
    }
    let sizes: Vec<usize> = arguments.iter().map(|size| size.parse()).collect::<Result<_, _>>()?;
    let sizes = if sizes.is_empty() { SIZES.to_vec() } else { sizes };
    let mut out = std::io::stdout().lock();
    writeln!(out, "| images | {} | load |", COLUMNS.join(" | "))?;
    writeln!(out, "|---{}|---|", "|---".repeat(COLUMNS.len()))?;
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for &points in &sizes {
        let child = Command::new(std::env::current_exe()?).args(["child", &points.to_string()]).output()?;
        if !child.status.success() {
            return Err(String::from_utf8_lossy(&child.stderr).into());
        }
        let said = String::from_utf8(child.stdout)?;
        let row: Vec<f64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let cells: Vec<String> = row.iter().map(|value| format!("{value:.2}")).collect();
        writeln!(out, "| {points} | {} | {} |", cells.join(" | "), load())?;
        out.flush()?;
        rows.push(row);
    }
    let column = |place: usize| -> Vec<f64> { rows.iter().map(|row| row[place]).collect() };
    let exponents: Vec<f64> = (0..COLUMNS.len()).map(|place| exponent(&sizes, &column(place))).collect();
    let cells: Vec<String> = exponents.iter().map(|value| format!("{value:.2}")).collect();
    writeln!(out, "| exponent | {} | |", cells.join(" | "))?;
    let svg = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/measured/growth.svg");
    plot(&svg, &sizes, &(0..COLUMNS.len()).map(column).collect::<Vec<_>>(), &exponents)?;
    if column(MEMORY_COLUMN).iter().any(|&mib| mib > MEMORY_MIB_MAX) {
        return Err("more than 1 GiB beside the vectors".into());
    }
    match COLUMNS.iter().zip(&exponents).find(|(_, exponent)| **exponent > EXPONENT_MAX) {
        Some((name, _)) => Err(format!("{name} grows faster than all pairs").into()),
        None => Ok(()),
    }
}

/// Measures one number of vectors; prints the columns.
fn figures(points: usize) -> Outcome {
    let vectors = generate(points, 1);
    let vector_mib = (points * vectors.dim() * size_of::<f32>()) as f64 / f64::from(1 << 20);
    let (mut following, batch) = Following::new(vectors, points, EPS)?;
    let step = points / CHANGES;
    let some: Vec<PointOffset> = (0..CHANGES).map(|place| (place * step) as PointOffset).collect();
    // They go one by one and come again.
    let delete: Vec<f64> =
        some.iter().map(|&row| following.timed(|live, ranges| drop(live.remove(&[row], ranges)))).collect();
    let insert: Vec<f64> =
        some.iter().map(|&row| following.timed(|live, ranges| drop(live.insert(&[row], ranges)))).collect();
    let memory = memory_mib("VmHWM")? - vector_mib;
    drop(following);
    let restart =
        tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(restart(points))?;
    let median_p99 = |values: &[f64]| format!("{} {}", quantile(values, 0.5), quantile(values, 0.99));
    let mut out = std::io::stdout().lock();
    writeln!(out, "{batch} {} {} {memory} {restart}", median_p99(&insert), median_p99(&delete))?;
    Ok(())
}

/// Seconds from the start of a daemon that had been stopped in order until its followed clusters are listed.
async fn restart(images: usize) -> Outcome<f64> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    fill(&data, images).await?;
    let served = Served::start(&data, "auto").await?;
    served.api.cluster().await?;
    served.stop()?;
    let served = Served::start(&data, "auto").await?;
    served.api.live_clusters().await?;
    let seconds = served.began.elapsed().as_secs_f64();
    served.stop()?;
    Ok(seconds)
}

/// The slope of the straight line through the logarithms, by least squares.
fn exponent(sizes: &[usize], values: &[f64]) -> f64 {
    let points: Vec<(f64, f64)> =
        sizes.iter().zip(values).map(|(&size, &value)| ((size as f64).ln(), value.ln())).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let along: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    along / points.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>()
}

/// Every column on logarithmic axes, as its line's name says with the exponent.
fn plot(svg: &Path, sizes: &[usize], columns: &[Vec<f64>], exponents: &[f64]) -> Outcome {
    let (first, last) = (sizes[0] as f64, sizes[sizes.len() - 1] as f64);
    let all = columns.iter().flatten().copied();
    let (low, high) = all.fold((f64::MAX, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
    let root = SVGBackend::new(svg, (900, 620)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("What clustering costs as images come", ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((first * 0.9..last * 1.1).log_scale(), (low * 0.7..high * 1.5).log_scale())?;
    chart.configure_mesh().x_desc("images, 1,280 dimensions").y_desc("s, ms or MiB").draw()?;
    for (place, values) in columns.iter().enumerate() {
        let colour = Palette99::pick(place).to_rgba();
        let line: Vec<(f64, f64)> =
            sizes.iter().map(|&size| size as f64).zip(values.iter().copied()).collect();
        let name = format!("{}: n^{:.2}", COLUMNS[place], exponents[place]);
        chart
            .draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(2)).point_size(4))?
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 14))
        .draw()?;
    root.present()?;
    Ok(())
}
