import { useEffect, useRef } from "preact/hooks";

import { isDialogOpen, isTyping } from "./dialog";

/** Keys of a view, or of a window over it: those that are pressed while nobody types. */
export function useKeys(handle: (event: KeyboardEvent) => void, ofDialog = false): void {
  const latest = useRef(handle);
  latest.current = handle;
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const modified = event.ctrlKey || event.metaKey || event.altKey;
      if (modified || event.defaultPrevented || isTyping(event.target) || isDialogOpen() !== ofDialog) return;
      latest.current(event);
    };
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, []);
}
