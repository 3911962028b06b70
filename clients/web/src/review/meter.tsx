// How good the sorting is thought to be by now.

import type { QualityEstimate } from "../gen/culld/v1/decision_service_pb";
import { counted, fixed } from "../words";

export function Meter({ estimate, enough }: { estimate: QualityEstimate | null; enough: boolean }) {
  if (!estimate) return <p class="meter muted">Quality Metric: not known yet</p>;
  const { qualityMetric, intervalLow, intervalHigh, judgements } = estimate;
  const low = Math.min(Math.max(intervalLow, 0), 1);
  const high = Math.min(Math.max(intervalHigh, low), 1);
  return (
    <p class={`meter ${enough ? "enough" : ""}`}>
      <span>
        Quality Metric <b>{fixed(qualityMetric)}</b>{" "}
        <span class="interval">
          [{fixed(intervalLow)}, {fixed(intervalHigh)}]
        </span>{" "}
        after {counted(judgements, "judgement")}
      </span>
      <svg class="track" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        <rect class="ground" width="100" height="6" />
        <rect class="band" x={low * 100} width={Math.max((high - low) * 100, 0.5)} height="6" />
        <rect class="mark" x={Math.min(qualityMetric * 100, 99) - 0.5} width="1.5" height="6" />
      </svg>
    </p>
  );
}
