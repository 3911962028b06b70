// Whether an answer is as a scenario has it: the matchers of clients/conformance/README.md.

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const number = (value) => (value === undefined ? 0 : Number(value));
const show = (value) => {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
};

/** The value at a path such as `images.*.imageId`; throws where it leads nowhere. */
export function at(value, path) {
  const [name, ...rest] = path.split(".");
  if (name === "*") {
    if (!Array.isArray(value)) throw new Error(`${path}: no list there`);
    return rest.length === 0 ? value : value.map((entry) => at(entry, rest.join(".")));
  }
  const next = Array.isArray(value) ? value.at(Number(name)) : value?.[name];
  if (next === undefined) throw new Error(`the path ${path} leads nowhere`);
  return rest.length === 0 ? next : at(next, rest.join("."));
}

function maybe(value, path) {
  try {
    return at(value, path);
  } catch {
    return undefined;
  }
}

const list = (value) => {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new Error(`${show(value)} is no list`);
  return value;
};
const ordered = (value, path, right) =>
  list(value).every((entry, index, all) => index === 0 || right(number(maybe(all[index - 1], path)), number(maybe(entry, path))));
const matches = (value, matcher, context) => mismatch(value, matcher, context) === undefined;
const sorted = (values) => values.map((value) => JSON.stringify(value)).sort();

const NAMED = {
  $any: (value) => value !== undefined,
  $absent: (value) => value === undefined,
  $gt: (value, limit) => number(value) > limit,
  $ge: (value, limit) => number(value) >= limit,
  $lt: (value, limit) => number(value) < limit,
  $le: (value, limit) => number(value) <= limit,
  $near: (value, [middle, far]) => Math.abs(number(value) - middle) <= far,
  $length: (value, matcher, context) => {
    const length = value === undefined ? 0 : isObject(value) ? Object.keys(value).length : value.length;
    return matches(length, matcher, context);
  },
  $each: (value, matcher, context) => {
    const wrong = list(value).find((entry) => !matches(entry, matcher, context));
    if (wrong !== undefined) throw new Error(`${show(wrong)}: ${mismatch(wrong, matcher, context)}`);
    return true;
  },
  $some: (value, matcher, context) => list(value).some((entry) => matches(entry, matcher, context)),
  $count: (value, [matcher, count], context) => matches(list(value).filter((entry) => matches(entry, matcher, context)).length, count, context),
  $not: (value, matcher, context) => !matches(value, matcher, context),
  $matches: (value, pattern) => typeof value === "string" && new RegExp(pattern, "u").test(value),
  $unordered: (value, values) => JSON.stringify(sorted(list(value))) === JSON.stringify(sorted(values)),
  $ascending: (value, path) => ordered(value, path, (before, after) => before <= after),
  $descending: (value, path) => ordered(value, path, (before, after) => before >= after),
  $distinct: (value, path) => new Set(list(value).map((entry) => JSON.stringify(maybe(entry, path)))).size === list(value).length,
  $image_of: (value, folder, { ids }) => {
    const name = folder === "" ? value?.key : `${folder}/${value?.key}`;
    return value?.imageId !== undefined && value.imageId === ids[name];
  },
};

/** What is wrong with a value; `undefined` where it matches. */
export function mismatch(value, matcher, context) {
  if (Array.isArray(matcher)) {
    const entries = value === undefined ? [] : value;
    if (!Array.isArray(entries) || entries.length !== matcher.length) return `${show(value)} is no list of ${matcher.length}`;
    const wrong = matcher.map((entry, index) => mismatch(entries[index], entry, context));
    const first = wrong.findIndex((what) => what !== undefined);
    return first < 0 ? undefined : `${first}: ${wrong[first]}`;
  }
  if (!isObject(matcher)) {
    const empty = matcher === 0 || matcher === "" || matcher === false;
    const same = value === matcher || (value === undefined && empty) || (typeof matcher === "number" && value === `${matcher}`);
    return same ? undefined : `${show(value)} is not ${show(matcher)}`;
  }
  for (const [name, wanted] of Object.entries(matcher)) {
    if (name.startsWith("$")) {
      const check = NAMED[name];
      if (check === undefined) throw new Error(`there is no matcher ${name}`);
      try {
        if (!check(value, wanted, context)) return `${show(value)} does not match ${name} ${show(wanted)}`;
      } catch (error) {
        return `${name}: ${error.message}`;
      }
    } else {
      const what = mismatch(isObject(value) ? value[name] : undefined, wanted, context);
      if (what !== undefined) return `${name}: ${what}`;
    }
  }
  return undefined;
}
