// How the collection grew, and how much of it is decided: each count over time, one above the other.

import { timestampMs } from "@bufbuild/protobuf/wkt";

import { admin } from "../api";
import type { GrowthPoint } from "../gen/culld/v1/admin_service_pb";
import { useAnswer } from "../parts/answer";
import { useWidth } from "../parts/width";
import { collection, linkTo } from "../session";
import { count, counted, moment, share } from "../words";

const HEIGHT = 220;
const MARGIN = { left: 60, right: 12, top: 12, bottom: 26 };
const LAYERS = [
  { name: "Keep", of: (point: GrowthPoint) => Number(point.decidedKeep) },
  { name: "Discard", of: (point: GrowthPoint) => Number(point.decidedDiscard) },
  { name: "Review", of: (point: GrowthPoint) => Number(point.inReview) },
];
const DAY_MS = 86_400_000;

export function GrowthPanel() {
  const name = collection.value;
  const { value, failure, reload } = useAnswer(() => admin.getGrowth({ collection: name }), [name]);
  const points = value?.points ?? [];
  const last = points.at(-1);
  return (
    <section class="panel" aria-labelledby="growth-title">
      <header class="row">
        <h2 id="growth-title" class="grow">
          Growth
        </h2>
        <button type="button" onClick={reload}>
          Refresh
        </button>
      </header>
      {failure && <p role="alert">{failure}</p>}
      {!value && !failure && <p class="muted">Reading the counts …</p>}
      {last && Number(last.images) === 0 && points.length < 3 && (
        <p>
          No pictures yet. <a href={linkTo({ view: "run" })}>Add some</a>, and this shows how the collection grows.
        </p>
      )}
      {last && (Number(last.images) > 0 || points.length >= 3) && (
        <>
          <p>
            <b>{counted(last.images, "picture")}</b>, {decidedShare(last)} decided
          </p>
          <Layers points={points} />
          {points[0] && points[0].images > 0n && (
            <p class="muted">Recorded since {moment(points[0].time)}; how it was before is not known.</p>
          )}
          <ul class="layers">
            {LAYERS.map((layer) => (
              <li key={layer.name}>
                <i class={`layer-${layer.name.toLowerCase()}`} /> {layer.name} <b>{count(layer.of(last))}</b>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

function decidedShare(point: GrowthPoint): string {
  const images = Number(point.images);
  return images === 0 ? "none" : share((images - Number(point.inReview)) / images);
}

function Layers({ points }: { points: readonly GrowthPoint[] }) {
  const { element, width } = useWidth<SVGSVGElement>();
  const times = points.map((point) => (point.time ? timestampMs(point.time) : 0));
  const [from, to] = [times[0] ?? 0, times.at(-1) ?? 0];
  const most = Math.max(1, ...points.map((point) => Number(point.images)));
  const x = (time: number) => MARGIN.left + ((time - from) / Math.max(to - from, 1)) * (width - MARGIN.left - MARGIN.right);
  const y = (images: number) => HEIGHT - MARGIN.bottom - (images / most) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  // A count holds until the next point: stairs, not slopes.
  const stairs = (heights: readonly number[]): [number, number][] =>
    heights.flatMap((height, index) => [...(index > 0 ? [[times[index]!, heights[index - 1]!] as [number, number]] : []), [times[index]!, height]]);
  const path = (line: readonly [number, number][]) => line.map(([time, height]) => `${x(time).toFixed(1)} ${y(height).toFixed(1)}`).join("L");
  let below = points.map(() => 0);
  const areas = LAYERS.map((layer) => {
    const above = points.map((point, index) => below[index]! + layer.of(point));
    const area = `M${path(stairs(above))}L${path(stairs(below).reverse())}Z`;
    below = above;
    return { name: layer.name, area };
  });
  const last = points.at(-1);
  const ticks = [...new Set([0, Math.round(most / 2), most])];
  return (
    <svg
      ref={element}
      class="curve growth"
      height={HEIGHT}
      viewBox={`0 0 ${width} ${HEIGHT}`}
      role="img"
      aria-label={`Pictures over time, from ${when(from, to - from)} to ${when(to, to - from)}: ${count(points[0]?.images ?? 0)} at first, ${count(last?.images ?? 0)} now, of which ${count(last?.decidedKeep ?? 0)} to keep, ${count(last?.decidedDiscard ?? 0)} to discard, ${count(last?.inReview ?? 0)} for review`}
    >
      {ticks.map((tick) => (
        <g key={tick}>
          <line class="grid" x1={MARGIN.left} x2={width - MARGIN.right} y1={y(tick)} y2={y(tick)} />
          <text x={MARGIN.left - 6} y={y(tick) + 4} text-anchor="end">
            {count(tick)}
          </text>
        </g>
      ))}
      {areas.map(({ name, area }) => (
        <path key={name} class={`layer-${name.toLowerCase()}`} d={area} />
      ))}
      <text x={MARGIN.left} y={HEIGHT - 8}>
        {when(from, to - from)}
      </text>
      <text x={width - MARGIN.right} y={HEIGHT - 8} text-anchor="end">
        {when(to, to - from)}
      </text>
    </svg>
  );
}

/** A moment, as exactly as the span that it ends asks for. */
function when(time: number, span: number): string {
  const date = new Date(time);
  if (span < DAY_MS) return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return date.toLocaleDateString([], { dateStyle: "medium" });
}
