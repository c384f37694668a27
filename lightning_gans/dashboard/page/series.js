// What is computed of curves: smoothing, groups of seeds, their mean and band. No pictures here.

/** Exponential moving average without a bias at its start: weight 0 leaves values as they are. */
export function smooth(values, weight) {
  if (!weight) return values;
  let sum = 0;
  let mass = 0;
  return values.map((value) => {
    sum = weight * sum + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return sum / mass;
  });
}

/** The value of a curve at `x`, on the straight line between its neighbours; null outside of it. */
export function at(xs, ys, x) {
  if (!xs.length || x < xs[0] || x > xs.at(-1)) return null;
  let [low, high] = [0, xs.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle; else high = middle;
  }
  if (xs[high] === xs[low]) return ys[high];
  return ys[low] + ((x - xs[low]) / (xs[high] - xs[low])) * (ys[high] - ys[low]);
}

// Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom.
const T = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131,
  2.12, 2.11, 2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042];

/** Mean and band of several curves {x, y}, at the places of all that at least two of them reach, and `n`, how many do.
 * Where that changes there is a gap, for the mean of fewer is another one and would look like a leap of training.
 * band: "range" from least to greatest, or "interval": 95 % of the mean, by Student's t over the curves. */
export function band(curves, kind) {
  const xs = [...new Set(curves.flatMap((curve) => curve.x))].sort((a, b) => a - b);
  const result = { x: [], mean: [], low: [], high: [], n: [] };
  for (const x of xs) {
    const values = curves.map((curve) => at(curve.x, curve.y, x)).filter((value) => value !== null);
    if (values.length < Math.min(2, curves.length)) continue;
    const n = values.length;
    const mean = values.reduce((a, b) => a + b, 0) / n;
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (kind === "interval") {
      const variance = n > 1 ? values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1) : 0;
      const half = n > 1 ? (T[n - 2] ?? 1.96) * Math.sqrt(variance / n) : 0;
      [low, high] = [mean - half, mean + half];
    }
    if (result.n.length && result.n.at(-1) !== n) for (const part of Object.values(result)) part.push(null);
    for (const [name, value] of Object.entries({ x, mean, low, high, n })) result[name].push(value);
  }
  return result;
}

/** One column of a run's answer as a curve over samples or seconds; empty where there is none. */
export function curve(answer, metric, axis) {
  return along(answer, answer?.columns[metric], axis);
}

/** The same for smoothing and averaging: of a long column the means of stretches. The weight is what the values
 * before have after each report, so after a stretch of n reports they have weight ** n. */
export function smoothed(answer, metric, axis, weight) {
  const column = answer?.columns[metric];
  const { x, y } = along(answer, column?.means ?? column, axis);
  return { x, y: smooth(y, weight && weight ** (column?.means?.n ?? 1)) };
}

function along(answer, column, axis) {
  if (!column) return { x: [], y: [] };
  const places = axis === "time" ? answer.seconds : answer.samples;
  const kept = column.at.map((row, i) => [places[row], column.y[i]]).filter(([x]) => x !== null);
  return { x: kept.map(([x]) => x), y: kept.map(([, y]) => y) };
}

/** Runs by what they have in common but for seeds: [{name, slot, runs}], in the order of selection. */
export function grouped(chosen) {
  const groups = new Map();
  for (const each of chosen) {
    const group = groups.get(each.run.group) ?? { name: each.id, slot: each.slot, runs: [] };
    group.runs.push(each);
    groups.set(each.run.group, group);
  }
  return [...groups.values()];
}
