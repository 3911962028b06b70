// The k-distance curve: where it bends is the radius to try first.

import { useWidth } from "../parts/width";
import { fixed } from "../words";

const HEIGHT = 220;
const MARGIN = { left: 44, right: 12, top: 12, bottom: 26 };

interface CurveProps {
  /** Ascending. */
  distances: readonly number[];
  knee: number | undefined;
  /** Radii with what they would give, to be marked. */
  marks?: readonly number[];
}

export function Curve({ distances, knee, marks = [] }: CurveProps) {
  const { element, width } = useWidth<SVGSVGElement>();
  const highest = distances.at(-1) || 1;
  const x = (index: number) => MARGIN.left + (index / Math.max(distances.length - 1, 1)) * (width - MARGIN.left - MARGIN.right);
  const y = (distance: number) => HEIGHT - MARGIN.bottom - (distance / highest) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const line = distances.map((distance, index) => `${index === 0 ? "M" : "L"}${x(index).toFixed(1)} ${y(distance).toFixed(1)}`).join("");
  const ticks = [0, highest / 2, highest];
  return (
    <svg ref={element} class="curve" height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} role="img" aria-label={`Distances to the k-th nearest picture, from 0 to ${fixed(highest, 3)}${knee === undefined ? "" : `; they bend at ${fixed(knee, 3)}`}`}>
      {ticks.map((tick) => (
        <g key={tick}>
          <line class="grid" x1={MARGIN.left} x2={width - MARGIN.right} y1={y(tick)} y2={y(tick)} />
          <text x={MARGIN.left - 6} y={y(tick) + 4} text-anchor="end">
            {fixed(tick)}
          </text>
        </g>
      ))}
      {marks.map((mark) => (
        <line key={mark} class="mark" x1={MARGIN.left} x2={MARGIN.left + 8} y1={y(mark)} y2={y(mark)} />
      ))}
      {knee !== undefined && (
        <>
          <line class="knee" x1={MARGIN.left} x2={width - MARGIN.right} y1={y(knee)} y2={y(knee)} />
          <text class="knee-label" x={MARGIN.left + 14} y={y(knee) - 6}>
            knee {fixed(knee, 3)}
          </text>
        </>
      )}
      <path d={line} />
      <text x={width - MARGIN.right} y={HEIGHT - 8} text-anchor="end">
        pictures, by their distance to the k-th nearest
      </text>
    </svg>
  );
}
