import { useLayoutEffect, useRef, useState } from "preact/hooks";

/** What a drawing is taken to be wide before it is there, in pixels. */
const USUAL_PX = 600;

/** How wide an element is, so that what is drawn in it keeps the size of its letters on any window. */
export function useWidth<T extends Element>() {
  const element = useRef<T>(null);
  const [width, setWidth] = useState(USUAL_PX);
  useLayoutEffect(() => {
    const drawn = element.current;
    if (!drawn) return undefined;
    const measure = () => setWidth(Math.max(1, Math.round(drawn.getBoundingClientRect().width)));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(drawn);
    return () => observer.disconnect();
  }, []);
  return { element, width };
}
