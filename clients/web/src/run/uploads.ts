// Files that are being added from the page. They go on while other views are looked at; a reload ends them, and adding
// the same files again changes nothing.

import { signal } from "@preact/signals";

import { images, patiently, plain, requestId } from "../api";
import { AddStatus } from "../gen/culld/v1/image_pb";
import type { AddOutcome } from "../gen/culld/v1/image_pb";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";

/** A file and the name that it is added by. */
export interface Named {
  name: string;
  file: File;
}

export interface Progress {
  total: number;
  added: number;
  present: number;
  rejected: number;
  failed: number;
  problems: { name: string; detail: string }[];
  running: boolean;
}

/** Files on their way at a time: browsers open six connections to a host, and one is left for everything else. */
const CONCURRENT = 5;
/** Files of one drop at most. */
export const FILES_MAX = 100_000;
/** Files that were not added and are named. */
const PROBLEMS_MAX = 100;
/** Bytes of one image at most, as the daemon has it by default; what is larger is not even read. */
const FILE_BYTES_MAX = 64 * 2 ** 20;

const NOTHING: Progress = { total: 0, added: 0, present: 0, rejected: 0, failed: 0, problems: [], running: false };

export const progress = signal<Progress>(NOTHING);
let stop = new AbortController();

export function cancel(): void {
  stop.abort();
}

export function doneOf(now: Progress): number {
  return now.added + now.present + now.rejected + now.failed;
}

/** Adds files, a few at a time. */
export async function upload(collection: string, files: readonly Named[]): Promise<void> {
  if (progress.value.running || files.length === 0) return;
  stop = new AbortController();
  const { signal } = stop;
  progress.value = { ...NOTHING, total: files.length, running: true };
  const queue = files[Symbol.iterator]();
  const work = async () => {
    for (const named of queue) {
      if (signal.aborted) return;
      await addOne(collection, named, signal);
    }
  };
  const keep = (event: BeforeUnloadEvent) => event.preventDefault();
  window.addEventListener("beforeunload", keep);
  await Promise.all(Array.from({ length: CONCURRENT }, work));
  window.removeEventListener("beforeunload", keep);
  progress.value = { ...progress.value, running: false };
}

async function addOne(collection: string, { name, file }: Named, signal: AbortSignal): Promise<void> {
  if (file.size > FILE_BYTES_MAX) return note(name, "rejected", `the file has ${file.size} bytes, at most ${FILE_BYTES_MAX} are allowed`);
  try {
    const data = new Uint8Array(await file.arrayBuffer());
    const image = { key: name, data, modifyTime: timestampFromMs(file.lastModified) };
    const request = { collection, image, requestId: requestId() };
    const { outcome } = await patiently(() => images.addImage(request), signal);
    count(name, outcome);
  } catch (error) {
    if (!signal.aborted) note(name, "failed", plain(error));
  }
}

function count(name: string, outcome: AddOutcome | undefined): void {
  switch (outcome?.status) {
    case AddStatus.ADDED:
      return note(name, "added");
    case AddStatus.ALREADY_PRESENT:
      return note(name, "present");
    case AddStatus.REJECTED:
      return note(name, "rejected", outcome.detail);
    default:
      return note(name, "failed", outcome?.detail ?? "no outcome");
  }
}

function note(name: string, what: "added" | "present" | "rejected" | "failed", detail?: string): void {
  const now = progress.value;
  const problems = detail && now.problems.length < PROBLEMS_MAX ? [...now.problems, { name, detail }] : now.problems;
  progress.value = { ...now, [what]: now[what] + 1, problems };
}

/** The files of a drop, those in folders too. */
export async function filesOf(items: DataTransferItemList): Promise<Named[]> {
  // The list is empty once the event is over: entries are taken at once. What another program hands over has none.
  const dropped = [...items].map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  const found: Named[] = [];
  for (const { entry, file } of dropped) {
    if (entry) await collect(entry, found);
    else if (file) found.push({ name: file.name, file });
  }
  return found;
}

async function collect(entry: FileSystemEntry, found: Named[]): Promise<void> {
  if (entry.name.startsWith(".") || found.length >= FILES_MAX) return;
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ name: entry.fullPath.replace(/^\//, ""), file });
  } else if (entry.isDirectory) {
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    for (;;) {
      // A reader gives a hundred or so at a time, and none at the end.
      const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
      if (batch.length === 0) return;
      for (const one of batch) await collect(one, found);
    }
  }
}

/** The files that a person chose by the browser's own window. */
export function filesChosen(list: FileList): Named[] {
  const named = [...list].map((file) => ({ name: file.webkitRelativePath || file.name, file }));
  return named.filter(({ name }) => !name.split("/").some((part) => part.startsWith("."))).slice(0, FILES_MAX);
}
