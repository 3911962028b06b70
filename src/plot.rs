//! Plots as SVG [only user of `plotters`]: reachability, and the k-distance curve with its knee.

use plotters::coord::Shift;
use plotters::prelude::*;

/// Size of a plot, in pixels.
const SIZE_PX: (u32, u32) = (1000, 500);
/// Bars drawn; more points share them.
const BARS_MAX: usize = 2000;
const GROUND_GREY: RGBColor = RGBColor(150, 150, 150);
/// How much higher than the highest value the axis reaches.
const HEADROOM: f64 = 1.05;

/// Why a plot can't be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// There is no point.
    #[error("there is nothing to plot: the clustering has no {what}")]
    Empty {
        /// What is missing.
        what: &'static str,
    },
    /// The drawing failed.
    #[error("the plot could not be drawn: {0}")]
    Draw(String),
}

/// One bar of a reachability plot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// Reachability distance, cosine, in [0, 2]; none at the start of a component.
    pub height: Option<f64>,
    /// The cluster; none for noise.
    pub cluster: Option<u64>,
}

/// The reachability plot of OPTICS (Ankerst et al., 1999): a bar per image in cluster order, coloured by cluster, noise
/// grey; bars of undefined height reach the top. Clusters are its valleys.
///
/// More than 2,000 points share bars, of which each is as high as the highest of its points, so that no wall is lost.
///
/// # Errors
/// No points.
pub fn reachability(points: &[Bar]) -> Result<String, PlotError> {
    if points.is_empty() {
        return Err(PlotError::Empty { what: "reachability" });
    }
    let top = top_of(points.iter().filter_map(|bar| bar.height));
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE_PX).into_drawing_area();
        root.fill(&WHITE).map_err(draw_error)?;
        let mut chart =
            chart(&root, "Reachability, one colour per cluster, noise grey", points.len() as f64, top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .max_light_lines(1)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .x_desc("images in cluster order")
            .y_desc("reachability (cosine distance)")
            .draw()
            .map_err(draw_error)?;
        let step = points.len().div_ceil(BARS_MAX);
        let bars = points.chunks(step).enumerate().map(|(place, points)| {
            let left = (place * step) as f64;
            let height = points.iter().map(|bar| bar.height.unwrap_or(top)).fold(0.0, f64::max);
            let corners = [(left, 0.0), (left + points.len() as f64, height)];
            Rectangle::new(corners, colour(points[0].cluster).filled())
        });
        chart.draw_series(bars).map_err(draw_error)?;
        root.present().map_err(draw_error)?;
    }
    Ok(svg)
}

/// The curve of distances to the k-th nearest neighbour, ascending, with its knee: an eps near the knee makes images
/// left of it core images and leaves those right of it out.
///
/// # Errors
/// No distances.
pub fn k_distances(distances: &[f32], knee: Option<f64>) -> Result<String, PlotError> {
    if distances.is_empty() {
        return Err(PlotError::Empty { what: "k-distance curve" });
    }
    let top = top_of(distances.iter().map(|&distance| f64::from(distance)).chain(knee));
    let last = (distances.len() - 1).max(1) as f64;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE_PX).into_drawing_area();
        root.fill(&WHITE).map_err(draw_error)?;
        let mut chart = chart(&root, "Distance to the k-th nearest neighbour", 100.0, top)?;
        chart
            .configure_mesh()
            .max_light_lines(1)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .x_desc("share of images, in per cent")
            .y_desc("cosine distance")
            .draw()
            .map_err(draw_error)?;
        let curve =
            distances.iter().enumerate().map(|(place, &d)| (place as f64 / last * 100.0, f64::from(d)));
        chart.draw_series(LineSeries::new(curve, BLUE.stroke_width(2))).map_err(draw_error)?;
        if let Some(knee) = knee {
            let line = LineSeries::new([(0.0, knee), (100.0, knee)], RED.stroke_width(1));
            chart
                .draw_series(line)
                .map_err(draw_error)?
                .label(format!("knee: {knee:.4}"))
                .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], RED));
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .background_style(WHITE)
                .border_style(GROUND_GREY)
                .draw()
                .map_err(draw_error)?;
        }
        root.present().map_err(draw_error)?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

fn chart<'a, 'b>(area: &'a Area<'b>, title: &str, right: f64, top: f64) -> Result<Chart<'a, 'b>, PlotError> {
    ChartBuilder::on(area)
        .caption(title, ("sans-serif", 20))
        .margin(15)
        .x_label_area_size(45)
        .y_label_area_size(65)
        .build_cartesian_2d(0.0..right, 0.0..top)
        .map_err(draw_error)
}

/// The upper end of an axis that holds these values.
fn top_of(values: impl Iterator<Item = f64>) -> f64 {
    let highest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
    if highest > 0.0 { highest * HEADROOM } else { 1.0 }
}

/// Neighbouring numbers get clearly different hues: each goes on by the golden angle.
fn colour(cluster: Option<u64>) -> RGBColor {
    const GOLDEN_SHARE: f64 = 0.618_033_988_749_895;
    let Some(cluster) = cluster else {
        return GROUND_GREY;
    };
    let hue = (cluster as f64 * GOLDEN_SHARE).fract();
    let (red, green, blue) = HSLColor(hue, 0.65, 0.45).to_backend_color().rgb;
    RGBColor(red, green, blue)
}

fn draw_error(error: impl std::fmt::Display) -> PlotError {
    PlotError::Draw(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::{BARS_MAX, Bar, k_distances, reachability};

    #[test]
    fn any_number_of_points_is_drawn() {
        for points in [1, 2, BARS_MAX + 1] {
            let bar = |place: usize| Bar {
                height: (place > 0).then_some(0.1),
                cluster: place.is_multiple_of(2).then_some(1),
            };
            let svg = reachability(&(0..points).map(bar).collect::<Vec<_>>()).unwrap();
            assert!(svg.contains("cosine distance") && svg.ends_with("</svg>\n"), "{points}");
        }
        assert!(reachability(&[]).is_err());
    }

    #[test]
    fn the_knee_is_named() {
        assert!(k_distances(&[0.1, 0.2, 0.9], Some(0.25)).unwrap().contains("knee: 0.2500"));
        assert!(!k_distances(&[0.0], None).unwrap().contains("knee"));
        assert!(k_distances(&[], None).is_err());
    }
}
