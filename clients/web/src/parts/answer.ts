import { useCallback, useEffect, useState } from "preact/hooks";

import { patiently, plain } from "../api";

export interface Answer<T> {
  value: T | undefined;
  failure: string;
  reload: () => void;
}

/** What a call answers, asked anew when what it depends on changes; the last answer stays until the next is there. */
export function useAnswer<T>(call: () => Promise<T>, dependencies: unknown[]): Answer<T> {
  const [value, setValue] = useState<T>();
  const [failure, setFailure] = useState("");
  const [round, setRound] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    patiently(call, stop.signal).then(
      (answer) => {
        if (stop.signal.aborted) return;
        setValue(answer);
        setFailure("");
      },
      (error: unknown) => !stop.signal.aborted && setFailure(plain(error)),
    );
    return () => stop.abort();
  }, [...dependencies, round]);
  const reload = useCallback(() => setRound((round) => round + 1), []);
  return { value, failure, reload };
}
