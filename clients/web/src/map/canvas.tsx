// The map as it is drawn, moved and circled.

import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { DecisionKind } from "../gen/culld/v1/decision_pb";
import { Picture } from "../parts/picture";
import { EVERYTHING, inside, nearest } from "./points";
import type { Focus, Points, Sight, Spot } from "./points";

export type Colour = "decision" | "cluster";
export type Tool = "move" | "select";

interface CanvasProps {
  points: Points;
  colour: Colour;
  tool: Tool;
  selected: ReadonlySet<number>;
  label: string;
  onSelect: (rows: number[]) => void;
  onLook: (row: number) => void;
}

/** Hues of neighbouring clusters lie so many degrees apart, so that few look alike. */
const HUE_STEP = 137.5;
/** A point is met from so near, in pixels. */
const REACH_PX = 10;
/** A press that moves less is a click, in pixels. */
const CLICK_PX = 4;
const MARGIN_PX = 24;
const ZOOM_STEP = 1.4;
const ZOOM_MIN = 0.5;
const ZOOM_MAX = 400;
/** Up to so many pictures points are round; of more, squares are drawn sooner. */
const ROUND_MAX = 20_000;
/** What is not selected, where something is. */
const DIMMED = 0.25;
const PAN_SHARE = 0.15;

export function Canvas({ points, colour, tool, selected, label, onSelect, onLook }: CanvasProps) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [room, setRoom] = useState({ width: 0, height: 0 });
  const [focus, setFocus] = useState<Focus>(EVERYTHING);
  const [line, setLine] = useState<Spot[]>([]);
  const [met, setMet] = useState<{ row: number; x: number; y: number } | null>(null);
  const [scheme, setScheme] = useState(0);
  const whole = Math.max((Math.min(room.width, room.height) - 2 * MARGIN_PX) / 2, 1);
  const seen: Sight = { x: focus.x, y: focus.y, scale: whole * focus.zoom };
  useLayoutEffect(() => {
    const element = frame.current;
    if (!element) return undefined;
    const measure = () => setRoom({ width: element.clientWidth, height: element.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const repaint = () => setScheme((scheme) => scheme + 1);
    dark.addEventListener("change", repaint);
    return () => {
      observer.disconnect();
      dark.removeEventListener("change", repaint);
    };
  }, []);
  useEffect(() => {
    if (canvas.current) draw(canvas.current, room, points, seen, colour, selected, line);
  }, [points, colour, selected, focus, line, room, scheme]);
  const spotAt = useCallback(
    (x: number, y: number): Spot => ({ x: seen.x + (x - room.width / 2) / seen.scale, y: seen.y - (y - room.height / 2) / seen.scale }),
    [seen.x, seen.y, seen.scale, room],
  );
  const zoom = (factor: number, at: Spot = seen) => {
    const zoom = Math.min(Math.max(focus.zoom * factor, ZOOM_MIN), ZOOM_MAX);
    const kept = focus.zoom / zoom;
    setFocus({ zoom, x: at.x + (seen.x - at.x) * kept, y: at.y + (seen.y - at.y) * kept });
  };
  const pan = (dx: number, dy: number) => setFocus({ ...focus, x: seen.x - dx / seen.scale, y: seen.y + dy / seen.scale });
  const pointers = usePointers({
    element: canvas,
    tool,
    pan,
    zoom: (factor, x, y) => zoom(factor, spotAt(x, y)),
    circle: (line) => setLine(line.map(({ x, y }) => spotAt(x, y))),
    circled: () => {
      if (line.length > 2) onSelect(inside(points, line));
      setLine([]);
    },
    click: (x, y) => {
      const row = nearest(points, spotAt(x, y), REACH_PX / seen.scale);
      if (row !== undefined) onLook(row);
    },
    hover: (x, y) => {
      const row = nearest(points, spotAt(x, y), REACH_PX / seen.scale);
      setMet(row === undefined ? null : { row, x, y });
    },
  });
  const inSight = () => {
    const [a, b] = [spotAt(0, 0), spotAt(room.width, room.height)];
    onSelect(inside(points, [a, { x: b.x, y: a.y }, b, { x: a.x, y: b.y }]));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const acts: Record<string, () => void> = {
      ArrowLeft: () => pan(room.width * PAN_SHARE, 0),
      ArrowRight: () => pan(-room.width * PAN_SHARE, 0),
      ArrowUp: () => pan(0, room.height * PAN_SHARE),
      ArrowDown: () => pan(0, -room.height * PAN_SHARE),
      "+": () => zoom(ZOOM_STEP),
      "=": () => zoom(ZOOM_STEP),
      "-": () => zoom(1 / ZOOM_STEP),
      "0": () => setFocus(EVERYTHING),
      Enter: inSight,
    };
    const act = acts[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    act();
    event.preventDefault();
  };
  const image = met && points.images[met.row];
  return (
    <div class={`map ${tool}`} ref={frame} tabIndex={0} role="group" aria-label={label} onKeyDown={onKeyDown}>
      <canvas ref={canvas} aria-hidden="true" {...pointers} onPointerLeave={() => setMet(null)} />
      <div class="zoom" role="group" aria-label="Zoom">
        <button type="button" aria-label="Closer" title="+" onClick={() => zoom(ZOOM_STEP)}>
          +
        </button>
        <button type="button" aria-label="Farther" title="−" onClick={() => zoom(1 / ZOOM_STEP)}>
          −
        </button>
        <button type="button" aria-label="All of it" title="0" onClick={() => setFocus(EVERYTHING)}>
          ⤢
        </button>
      </div>
      {met && image && (
        <figure class="met" style={{ left: `${Math.min(met.x + 14, room.width - 130)}px`, top: `${Math.min(met.y + 14, room.height - 130)}px` }}>
          <Picture image={image} eager />
        </figure>
      )}
    </div>
  );
}

interface Moves {
  element: { current: HTMLCanvasElement | null };
  tool: Tool;
  pan: (dx: number, dy: number) => void;
  zoom: (factor: number, x: number, y: number) => void;
  circle: (line: Spot[]) => void;
  circled: () => void;
  click: (x: number, y: number) => void;
  hover: (x: number, y: number) => void;
}

/** What fingers and mice do: one moves or circles, two pinch, a wheel zooms. */
function usePointers(moves: Moves) {
  const latest = useRef(moves);
  latest.current = moves;
  const state = useRef({ down: new Map<number, Spot>(), path: [] as Spot[], far: false, frame: 0 });
  useEffect(() => {
    const canvas = moves.element.current;
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      latest.current.zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
    };
    canvas?.addEventListener("wheel", wheel, { passive: false });
    return () => canvas?.removeEventListener("wheel", wheel);
  }, []);
  const onPointerDown = (event: PointerEvent) => {
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    const { down } = state.current;
    down.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    state.current.path = [{ x: event.offsetX, y: event.offsetY }];
    state.current.far = down.size > 1;
    if (down.size > 1) latest.current.circle([]);
  };
  const onPointerMove = (event: PointerEvent) => {
    const { down, path } = state.current;
    const here = { x: event.offsetX, y: event.offsetY };
    const before = down.get(event.pointerId);
    if (!before) {
      cancelAnimationFrame(state.current.frame);
      state.current.frame = requestAnimationFrame(() => latest.current.hover(here.x, here.y));
      return;
    }
    const [first] = path;
    if (first && Math.hypot(here.x - first.x, here.y - first.y) > CLICK_PX) state.current.far = true;
    if (down.size > 1) {
      const other = [...down].find(([id]) => id !== event.pointerId)?.[1] ?? here;
      const spread = (a: Spot) => Math.hypot(a.x - other.x, a.y - other.y) || 1;
      latest.current.zoom(spread(here) / spread(before), (here.x + other.x) / 2, (here.y + other.y) / 2);
    } else if (state.current.far && latest.current.tool === "select") {
      path.push(here);
      latest.current.circle([...path]);
    } else if (state.current.far) {
      latest.current.pan(here.x - before.x, here.y - before.y);
    }
    down.set(event.pointerId, here);
  };
  const onPointerUp = (event: PointerEvent) => {
    const { down, far } = state.current;
    if (!down.delete(event.pointerId)) return;
    if (!far) latest.current.click(event.offsetX, event.offsetY);
    else if (down.size === 0) latest.current.circled();
  };
  return { onPointerDown, onPointerMove, onPointerUp, onPointerCancel: onPointerUp };
}

function draw(canvas: HTMLCanvasElement, room: { width: number; height: number }, points: Points, sight: Sight, colour: Colour, selected: ReadonlySet<number>, line: readonly Spot[]): void {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(room.width * ratio);
  canvas.height = Math.round(room.height * ratio);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const named = (name: string) => style.getPropertyValue(name).trim();
  const colours: Record<number, string> = { [DecisionKind.KEEP]: named("--keep"), [DecisionKind.DISCARD]: named("--discard"), [DecisionKind.REVIEW]: named("--muted") };
  const muted = named("--muted");
  const left = (x: number) => room.width / 2 + (x - sight.x) * sight.scale;
  const top = (y: number) => room.height / 2 - (y - sight.y) * sight.scale;
  const size = points.images.length > 20_000 ? 2 : points.images.length > 2_000 ? 4 : 6;
  const isRound = points.images.length <= ROUND_MAX;
  const dot = (row: number, by: number) => {
    const [x, y] = [left(points.x[row] ?? 0), top(points.y[row] ?? 0)];
    if (!isRound) return context.fillRect(x - by / 2, y - by / 2, by, by);
    context.beginPath();
    context.arc(x, y, by / 2, 0, 2 * Math.PI);
    context.fill();
  };
  const colourOf = (row: number) => {
    const cluster = points.cluster[row] ?? -1;
    if (colour === "decision") return colours[points.decision[row] ?? 0] ?? muted;
    return cluster < 0 ? muted : `hsl(${(cluster * HUE_STEP) % 360} 65% 55%)`;
  };
  context.globalAlpha = selected.size > 0 ? DIMMED : 0.85;
  for (let row = 0; row < points.images.length; row += 1) {
    context.fillStyle = colourOf(row);
    dot(row, size);
  }
  // What is selected keeps its colour, on a ground that tells it from the rest.
  context.globalAlpha = 1;
  context.fillStyle = named("--accent");
  selected.forEach((row) => dot(row, size + 5));
  selected.forEach((row) => {
    context.fillStyle = colourOf(row);
    dot(row, size + 1);
  });
  if (line.length > 1) {
    context.beginPath();
    line.forEach((spot, at) => (at === 0 ? context.moveTo(left(spot.x), top(spot.y)) : context.lineTo(left(spot.x), top(spot.y))));
    context.closePath();
    context.strokeStyle = named("--accent");
    context.lineWidth = 1.5;
    context.stroke();
  }
}
