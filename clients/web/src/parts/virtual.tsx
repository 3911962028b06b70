// A grid of which only what is seen is there.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

interface VirtualGridProps<T> {
  label: string;
  items: readonly T[];
  keyOf: (item: T) => string;
  /** Least width of a cell, in pixels; columns share what is left. */
  minWidth: number;
  /** Height of a cell, in pixels, from its width. */
  heightOf: (width: number) => number;
  render: (item: T, index: number) => ComponentChildren;
  /** Called where the end comes near. */
  onNearEnd?: () => void;
  /** Number of items in all, where not all are listed yet. */
  total?: number;
  /** How far it was scrolled, in pixels, for when it is shown again. */
  scrolled?: { current: number };
}

const GAP_PX = 12;
/** Rows beyond the window, on either side. */
const OVERSCAN_ROWS = 2;

export function VirtualGrid<T>({ label, items, keyOf, minWidth, heightOf, render, onNearEnd, total, scrolled }: VirtualGridProps<T>) {
  const port = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState({ width: 0, height: 0, top: 0 });
  useLayoutEffect(() => {
    const element = port.current;
    if (!element) return undefined;
    const measure = () => setRoom({ width: element.clientWidth - 2 * GAP_PX, height: element.clientHeight, top: element.scrollTop });
    const onScroll = () => {
      measure();
      if (scrolled) scrolled.current = element.scrollTop;
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", onScroll);
    };
  }, []);
  const isMeasured = room.width > 0;
  useLayoutEffect(() => {
    if (isMeasured && port.current && scrolled) port.current.scrollTop = scrolled.current;
  }, [isMeasured]);
  const columns = Math.max(1, Math.floor((room.width + GAP_PX) / (minWidth + GAP_PX)));
  const width = (room.width - (columns - 1) * GAP_PX) / columns;
  const rowHeight = heightOf(width) + GAP_PX;
  const rows = Math.ceil(items.length / columns);
  const first = Math.max(0, Math.floor(room.top / rowHeight) - OVERSCAN_ROWS);
  const last = Math.min(rows, Math.ceil((room.top + room.height) / rowHeight) + OVERSCAN_ROWS);
  const isNearEnd = room.height > 0 && last >= rows;
  useLayoutEffect(() => {
    if (isNearEnd) onNearEnd?.();
  }, [isNearEnd, items.length, onNearEnd]);
  /** Goes from cell to cell as they lie; the rows beyond the window are there to be gone to. */
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const cell = (event.target as HTMLElement).closest("li");
    if (step === undefined || !cell || event.ctrlKey || event.metaKey || event.altKey) return;
    const place = Number(cell.getAttribute("aria-posinset")) + step;
    const next = port.current?.querySelector<HTMLElement>(`li[aria-posinset="${place}"] :is(button, [tabindex="0"])`);
    next?.focus();
    // At an edge nothing is scrolled away from under the focus.
    event.preventDefault();
  };
  const shown = isMeasured ? items.slice(first * columns, last * columns) : [];
  return (
    <div class="port" ref={port} tabIndex={-1}>
      <ul class="virtual" aria-label={label} onKeyDown={onKeyDown} style={{ height: `${rows * rowHeight + GAP_PX}px` }}>
        {shown.map((item, offset) => {
          const index = first * columns + offset;
          const left = GAP_PX + (index % columns) * (width + GAP_PX);
          const top = GAP_PX + Math.floor(index / columns) * rowHeight;
          const style = { width: `${width}px`, height: `${rowHeight - GAP_PX}px`, transform: `translate(${left}px, ${top}px)` };
          return (
            <li key={keyOf(item)} style={style} aria-setsize={total ?? items.length} aria-posinset={index + 1}>
              {render(item, index)}
            </li>
          );
        })}
      </ul>
    </div>
  );
}
