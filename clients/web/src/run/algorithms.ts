// What can be asked of a clustering, field by field; what is left empty the daemon derives from the data.

import type { MessageInitShape } from "@bufbuild/protobuf";

import type { ParametersSchema } from "../gen/culld/v1/clustering_pb";
import { RedFlag } from "../gen/culld/v1/clustering_pb";

type Parameters = MessageInitShape<typeof ParametersSchema>;
type Values = Record<string, number>;

export interface Field {
  name: string;
  label: string;
  min: number;
  max: number;
  step: number | "any";
}

export interface Algorithm {
  name: string;
  words: string;
  fields: Field[];
  parameters: (values: Values) => Parameters;
}

const IMAGES_MAX = 10_000_000;

function whole(name: string, label: string, min: number, max = IMAGES_MAX): Field {
  return { name, label, min, max, step: 1 };
}

function real(name: string, label: string, min: number, max: number): Field {
  return { name, label, min, max, step: "any" };
}

const CLUSTERS = whole("k", "Clusters", 1);
const MIN_POINTS = whole("minPoints", "Images that make a core", 2);

export const ALGORITHMS: Algorithm[] = [
  { name: "auto", words: "chooses by the data, and says why", fields: [], parameters: () => ({ algorithm: { case: "auto", value: {} } }) },
  {
    name: "k-means",
    words: "so many round groups",
    fields: [CLUSTERS, whole("restarts", "Restarts", 1, 100)],
    parameters: (value) => ({ algorithm: { case: "kMeans", value } }),
  },
  {
    name: "k-medoids",
    words: "so many groups around real pictures",
    fields: [CLUSTERS],
    parameters: (value) => ({ algorithm: { case: "kMedoids", value } }),
  },
  {
    name: "dbscan",
    words: "dense groups and noise; follows every picture that comes or goes",
    fields: [real("eps", "Radius (cosine distance)", 0, 2), MIN_POINTS],
    parameters: (value) => ({ algorithm: { case: "dbscan", value } }),
  },
  {
    name: "optics",
    words: "dense groups of differing density",
    fields: [MIN_POINTS, real("xi", "Steepness", 0.001, 0.999)],
    parameters: ({ minPoints, xi }) => ({
      algorithm: {
        case: "optics",
        value: { ...(minPoints === undefined ? {} : { minPoints }), ...(xi === undefined ? {} : { extraction: { case: "xi", value: xi } }) },
      },
    }),
  },
  {
    name: "hdbscan",
    words: "dense groups that last over many radii",
    fields: [whole("minClusterSize", "Smallest group", 2), whole("minSamples", "Neighbours looked at", 1)],
    parameters: (value) => ({ algorithm: { case: "hdbscan", value } }),
  },
  {
    name: "birch",
    words: "one pass, small subclusters merged",
    fields: [real("threshold", "Radius of a subcluster", 0.001, 2), CLUSTERS],
    parameters: (value) => ({ algorithm: { case: "birch", value } }),
  },
];

export function redFlagWords(flag: RedFlag): string {
  return {
    [RedFlag.UNSPECIFIED]: "",
    [RedFlag.NO_STRUCTURE]: "the data shows no groups",
    [RedFlag.ALL_NOISE]: "nearly everything is noise",
    [RedFlag.ONE_GIANT_CLUSTER]: "one cluster holds nearly everything",
    [RedFlag.NEARLY_ALL_CORE]: "the radius is too large: nearly every image is a core",
    [RedFlag.CHAINING]: "a cluster may be a chain of several",
  }[flag];
}
