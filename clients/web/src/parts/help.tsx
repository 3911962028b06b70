import { signal } from "@preact/signals";

import { Dialog } from "./dialog";

const KEYS: [string, [string, string][]][] = [
  [
    "Review",
    [
      ["K", "keep: these pictures are needed"],
      ["D", "discard: they are not"],
      ["M", "mixed: some of each; the group comes back in parts"],
      ["S", "skip: comes back last"],
      ["1 – 9", "this picture is an exception, of the other side"],
      ["U", "take your last answer back"],
      ["Shift U", "say it again"],
      ["Arrows", "go from picture to picture"],
      ["Space", "look closer"],
    ],
  ],
  [
    "A closer look",
    [
      ["← →", "the picture before, the next one"],
      ["X", "make it an exception"],
      ["Space, Esc", "back"],
    ],
  ],
  [
    "Clusters",
    [
      ["K, D", "keep or discard the cluster in focus, or all that are chosen"],
      ["Arrows", "go from cluster to cluster, or from picture to picture"],
      ["X", "choose the cluster in focus; within a cluster: the picture is an exception"],
      ["Space", "on a picture: an exception"],
      ["Enter", "on a cluster: open it"],
      ["Esc", "back to all clusters"],
    ],
  ],
  [
    "Map",
    [
      ["Arrows", "move"],
      ["+ −", "closer, farther"],
      ["0", "all of it"],
      ["Enter", "select what is in sight"],
      ["K, D", "keep or discard what is selected"],
      ["Esc", "select nothing"],
    ],
  ],
  ["Everywhere", [["?", "this"]]],
];

export const helpIsOpen = signal(false);

export function Help() {
  if (!helpIsOpen.value) return null;
  const close = () => (helpIsOpen.value = false);
  return (
    <Dialog label="Keys" class="help" onClose={close}>
      <header>
        <h2>Keys</h2>
        <button type="button" autofocus onClick={close}>
          Close <kbd>Esc</kbd>
        </button>
      </header>
      {KEYS.map(([title, keys]) => (
        <section>
          <h3>{title}</h3>
          <dl>
            {keys.map(([key, meaning]) => (
              <div>
                <dt>
                  <kbd>{key}</kbd>
                </dt>
                <dd>{meaning}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
      <p class="muted">
        One answer is one judgement: look at the pictures shown, and the rest of their group goes with them. Two people can review at once; no
        group is shown to both.
      </p>
      <p class="muted">
        <a href="/licenses.txt">Licences of what this page is made of</a>
      </p>
    </Dialog>
  );
}
