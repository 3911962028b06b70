// The reachability plot of OPTICS: valleys are clusters, and a cut that can be dragged shows which.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { plain } from "../api";
import { lookCloser } from "../closer/closer";
import type { Clustering } from "../gen/culld/v1/clustering_pb";
import { Picture } from "../parts/picture";
import { collection } from "../session";
import { count, counted, fixed, share } from "../words";
import { cutAt, readReachability } from "./cut";
import type { Cut, Reachability } from "./cut";

/** Height of the plot, in pixels. */
const HEIGHT_PX = 240;
/** Radius of what the line is dragged by, in pixels; all of it can be dragged. */
const GRIP_PX = 7;
/** How strongly the noise is painted. */
const NOISE_ALPHA = 0.35;
/** Steps that a cut can be set by. */
const STEPS = 500;
/** Hues of neighbouring clusters lie so many degrees apart, so that few look alike. */
const HUE_STEP = 137.5;

interface ReachabilityPlotProps {
  clustering: Clustering;
  onCluster: (eps: number) => void;
}

export function ReachabilityPlot({ clustering, onCluster }: ReachabilityPlotProps) {
  const [plot, setPlot] = useState<Reachability | null>(null);
  const [failure, setFailure] = useState("");
  const [cut, setCut] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    readReachability(collection.value, clustering.clusteringId, stop.signal).then(
      (found) => {
        setPlot(found);
        setCut(clustering.knee ?? found.highest / 2);
      },
      (error: unknown) => !stop.signal.aborted && setFailure(plain(error)),
    );
    return () => stop.abort();
  }, [clustering.clusteringId]);
  const result = useMemo(() => plot && cutAt(plot, cut), [plot, cut]);
  if (failure) return <p role="alert">{failure}</p>;
  if (!plot || !result) return <p class="muted">Reading the plot …</p>;
  const images = plot.images.length;
  return (
    <>
      <Bars plot={plot} result={result} cut={cut} onCut={setCut} />
      <label class="row">
        <span>Cut at {fixed(cut, 3)}</span>
        <input
          class="grow"
          type="range"
          min={0}
          max={plot.highest}
          step={plot.highest / STEPS || 1}
          value={cut}
          aria-label="Where to cut, a cosine distance"
          onInput={({ currentTarget }) => setCut(Number(currentTarget.value))}
        />
      </label>
      <p class="row">
        <span role="status" class="grow">
          {counted(result.clusters, "cluster")}, {count(result.noise)} noise ({share(result.noise / Math.max(images, 1))}) of {counted(images, "picture")}
        </span>
        <button type="button" onClick={() => onCluster(cut)}>
          Cluster so
        </button>
      </p>
    </>
  );
}

interface BarsProps {
  plot: Reachability;
  result: Cut;
  cut: number;
  onCut: (cut: number) => void;
}

function Bars({ plot, result, cut, onCut }: BarsProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  useEffect(() => {
    const element = canvas.current;
    if (!element) return undefined;
    const paint = () => draw(element, plot, result, cut);
    paint();
    const observer = new ResizeObserver(paint);
    observer.observe(element);
    // Its colours are painted: they have to be painted anew by day.
    const light = matchMedia("(prefers-color-scheme: light)");
    light.addEventListener("change", paint);
    return () => {
      observer.disconnect();
      light.removeEventListener("change", paint);
    };
  }, [plot, result, cut]);
  const place = (event: PointerEvent) => {
    const box = canvas.current?.getBoundingClientRect();
    if (!box) return;
    const across = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    setPointed(Math.min(Math.floor(across * plot.images.length), plot.images.length - 1));
    if (event.buttons === 1) onCut(Math.min(Math.max(1 - (event.clientY - box.top) / box.height, 0), 1) * plot.highest);
  };
  const image = pointed === null ? undefined : plot.images[pointed];
  return (
    <div class="bars">
      <canvas
        ref={canvas}
        height={HEIGHT_PX}
        role="img"
        aria-label={`Reachability of ${plot.images.length} pictures, cut at ${fixed(cut, 3)}`}
        onPointerDown={(event) => {
          canvas.current?.setPointerCapture(event.pointerId);
          place(event);
        }}
        onPointerMove={place}
      />
      <div class="scale" aria-hidden="true">
        <span>{fixed(plot.highest)}</span>
        <span>{fixed(plot.highest / 2)}</span>
        <span>0.00</span>
      </div>
      <p class="muted small">Each bar is a picture, in the order of the clusters; its height is the distance at which it joins. Drag the line.</p>
      {image && pointed !== null && (
        <figure class={pointed > plot.images.length / 2 ? "left" : "right"}>
          <button type="button" class="look" aria-label="Look closer at the picture pointed at" onClick={() => lookCloser({ images: [image], index: 0 })}>
            <Picture image={image} alt="" eager />
          </button>
          <figcaption class="muted">
            {result.labels[pointed] === -1 ? "noise" : `cluster ${(result.labels[pointed] ?? 0) + 1}`}, {described(plot.reachability[pointed])}
          </figcaption>
        </figure>
      )}
    </div>
  );
}

function described(reachability = Infinity): string {
  return Number.isFinite(reachability) ? `at ${fixed(reachability, 3)}` : "a beginning";
}

/** Paints a bar for each column of pixels: the highest of the points that fall into it. */
function draw(element: HTMLCanvasElement, plot: Reachability, result: Cut, cut: number): void {
  const width = Math.max(1, Math.round(element.clientWidth * devicePixelRatio));
  const height = Math.round(HEIGHT_PX * devicePixelRatio);
  element.width = width;
  element.height = height;
  const paper = element.getContext("2d");
  if (!paper) return;
  const style = getComputedStyle(element);
  const [ground, ink] = [style.getPropertyValue("--muted"), style.getPropertyValue("--text")];
  const points = plot.images.length;
  const scale = plot.highest > 0 ? height / plot.highest : 0;
  for (let column = 0; column < width; column += 1) {
    const from = Math.floor((column * points) / width);
    const to = Math.max(from + 1, Math.floor(((column + 1) * points) / width));
    let high = 0;
    for (let at = from; at < to; at += 1) high = Math.max(high, Math.min(plot.reachability[at] ?? 0, plot.highest));
    const label = result.labels[from] ?? -1;
    paper.globalAlpha = label === -1 ? NOISE_ALPHA : 1;
    paper.fillStyle = label === -1 ? ground : `hsl(${(label * HUE_STEP) % 360} 55% 58%)`;
    paper.fillRect(column, height - high * scale, 1, high * scale);
  }
  paper.globalAlpha = 1;
  paper.fillStyle = ink;
  const line = height - cut * scale;
  paper.fillRect(0, line - 1, width, Math.max(2, devicePixelRatio));
  const grip = GRIP_PX * devicePixelRatio;
  paper.beginPath();
  paper.arc(width - grip * 1.5, line, grip, 0, 2 * Math.PI);
  paper.fill();
}
