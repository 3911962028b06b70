// What the page tells: short lines that go by themselves, read out to those who can't see them.

import { signal } from "@preact/signals";

import { plain } from "../api";

export interface Notice {
  id: number;
  text: string;
  tone: "plain" | "bad";
  action?: { label: string; run: () => void };
}

const SHOWN_MS = 6000;
const SHOWN_MAX = 4;

const notices = signal<Notice[]>([]);
let lastId = 0;

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

export function say(text: string, action?: Notice["action"], tone: Notice["tone"] = "plain"): void {
  lastId += 1;
  const id = lastId;
  notices.value = [...notices.value, { id, text, tone, ...(action ? { action } : {}) }].slice(-SHOWN_MAX);
  setTimeout(() => dismiss(id), SHOWN_MS);
}

export function complain(error: unknown): void {
  say(plain(error), undefined, "bad");
}

export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map(({ id, text, tone, action }) => (
        <p key={id} class={`notice ${tone}`}>
          <span>{text}</span>
          {action && (
            <button
              type="button"
              class="link"
              onClick={() => {
                dismiss(id);
                action.run();
              }}
            >
              {action.label}
            </button>
          )}
          <button type="button" class="icon" aria-label="Dismiss" onClick={() => dismiss(id)}>
            ×
          </button>
        </p>
      ))}
    </div>
  );
}
