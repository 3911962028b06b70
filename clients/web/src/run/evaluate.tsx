// How good the decisions are, by true labels that somebody has.

import { useState } from "preact/hooks";

import { decisions, patiently, plain } from "../api";
import type { EvaluateResponse } from "../gen/culld/v1/decision_service_pb";
import { collection } from "../session";
import { count, counted, fixed, share } from "../words";

interface Labels {
  /** Class by source key. */
  classes: [string, string][];
  names: string[];
}

const LABELS_MAX = 200_000;
const FILE_BYTES_MAX = 64 * 2 ** 20;
/** Classes that are offered to choose from. */
const CLASSES_MAX = 1000;

/** One line of a CSV file; quotes may hold commas, and doubled quotes. */
function cells(line: string): string[] {
  const found = line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g);
  return [...found].map(([, quoted, bare]) => (quoted === undefined ? (bare ?? "") : quoted.replaceAll('""', '"')).trim());
}

/** Reads lines of a key and a class, with or without a heading. */
export function parseLabels(text: string): Labels {
  const lines = text.split(/\r?\n/).filter((line) => line.trim());
  const rows = lines.map(cells).filter((row) => row.length >= 2);
  const [head] = rows;
  const heading = (head ?? []).map((cell) => cell.toLowerCase());
  const keyAt = heading.findIndex((cell) => /^(file|filename|path|key|source_key|image)$/.test(cell));
  const classAt = heading.findIndex((cell) => /^(label|class|category)$/.test(cell));
  const hasHeading = keyAt >= 0 && classAt >= 0;
  const classes = (hasHeading ? rows.slice(1) : rows).map((row): [string, string] => [row[hasHeading ? keyAt : 0] ?? "", row[hasHeading ? classAt : 1] ?? ""]);
  return { classes, names: [...new Set(classes.map(([, name]) => name))].sort() };
}

export function EvaluatePanel() {
  const [labels, setLabels] = useState<Labels | null>(null);
  const [kept, setKept] = useState<ReadonlySet<string>>(new Set());
  const [report, setReport] = useState<EvaluateResponse | null>(null);
  const [failure, setFailure] = useState("");
  const read = async (file: File | undefined) => {
    if (!file) return;
    setReport(null);
    setFailure("");
    if (file.size > FILE_BYTES_MAX) return setFailure("That file is too large for labels.");
    const found = parseLabels(await file.text());
    if (found.classes.length === 0 || found.classes.length > LABELS_MAX || found.names.length > CLASSES_MAX) {
      return setFailure(`It has ${counted(found.classes.length, "label")} of ${counted(found.names.length, "class", "classes")}: lines of a file name and a class are needed.`);
    }
    setLabels(found);
    setKept(new Set());
  };
  const measure = async () => {
    const asked = (labels?.classes ?? []).map(([key, name]) => ({ image: { case: "sourceKey" as const, value: key }, needed: kept.has(name) }));
    try {
      setReport(await patiently(() => decisions.evaluate({ collection: collection.value, labels: asked })));
    } catch (error) {
      setFailure(plain(error));
    }
  };
  const toggle = (name: string) => {
    const next = new Set(kept);
    if (!next.delete(name)) next.add(name);
    setKept(next);
  };
  return (
    <section class="panel" aria-labelledby="evaluate-title">
      <h2 id="evaluate-title">How good is it?</h2>
      <label class="stack">
        <span>labels.csv: lines of a source key and its class</span>
        <input type="file" accept=".csv,text/csv" onChange={({ currentTarget }) => void read(currentTarget.files?.[0])} />
      </label>
      {failure && <p role="alert">{failure}</p>}
      {labels && (
        <fieldset>
          <legend>Classes that are needed, of {counted(labels.classes.length, "label")}</legend>
          <div class="choices">
            {labels.names.map((name) => (
              <label key={name}>
                <input type="checkbox" checked={kept.has(name)} onChange={() => toggle(name)} /> <bdi>{name}</bdi>
              </label>
            ))}
          </div>
          <button type="button" class="primary" disabled={kept.size === 0} onClick={() => void measure()}>
            Measure
          </button>
        </fieldset>
      )}
      {report && <Report report={report} />}
    </section>
  );
}

function Report({ report }: { report: EvaluateResponse }) {
  return (
    <div role="status">
      <p>
        Quality Metric <b>{fixed(report.qualityMetric, 3)}</b>{" "}
        <span class="interval">
          [{fixed(report.intervalLow, 3)}, {fixed(report.intervalHigh, 3)}]
        </span>
        , precision {fixed(report.precision, 3)}, recall {fixed(report.recall, 3)}; {share(report.decidedShare)} decided without doubt
      </p>
      <table class="confusion">
        <thead>
          <tr>
            <td />
            <th scope="col">kept</th>
            <th scope="col">not kept</th>
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row">needed</th>
            <td class="number keep">{count(report.truePositive)}</td>
            <td class="number bad">{count(report.falseNegative)}</td>
          </tr>
          <tr>
            <th scope="row">not needed</th>
            <td class="number bad">{count(report.falsePositive)}</td>
            <td class="number keep">{count(report.trueNegative)}</td>
          </tr>
        </tbody>
      </table>
      <p class="muted">
        {counted(report.judgements, "judgement")}, {fixed(report.seconds / 60, 1)} minutes, {fixed(report.cost)} PLN in all
        {report.unknown > 0n && `; ${counted(report.unknown, "label")} named no picture, or several`}
      </p>
      <Savings report={report} />
    </div>
  );
}

/** What sorting by hand would cost more, as bars on a logarithmic scale. */
function Savings({ report }: { report: EvaluateResponse }) {
  const largest = Math.max(...report.savings.map((one) => one.saving), 1);
  return (
    <table class="savings">
      <caption>Saved against sorting by hand, PLN, by the study's rates</caption>
      <tbody>
        {report.savings.map((one) => (
          <tr key={String(one.images)}>
            <th scope="row" class="number">
              {count(one.images)} pictures
            </th>
            <td>
              <div class="bar" style={{ width: `${(Math.log1p(Math.max(one.saving, 0)) / Math.log1p(largest)) * 100}%` }} />
            </td>
            <td class="number">{count(Math.round(one.saving))}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
