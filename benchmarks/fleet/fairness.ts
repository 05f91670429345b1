/** A move as it was asked for and begun: requests have numbers that grow. */
export interface Begun {
  request: number;
  source: string;
  /** When its first command came to an agent, ms. */
  at: number;
}

export interface Fairness {
  /** Most later requests out of the same node that began before one: it waited for what they got. */
  passedOver: number;
  /** How long the last move of the slowest node waited, against that of the median node; nodes have equally many. */
  slowest: number;
}

/** Whether everybody has had his turn. @param startedAt when the first request was made, ms. */
export function fairness(moves: readonly Begun[], startedAt: number): Fairness {
  const nodes = [...Map.groupBy(moves, ({ source }) => source).values()];
  const passed = (list: readonly Begun[], one: Begun) =>
    list.filter(({ request, at }) => request > one.request && at < one.at).length;
  const lasts = nodes.map((list) => Math.max(...list.map(({ at }) => at)) - startedAt).sort((a, b) => a - b);
  const median = lasts[Math.floor(lasts.length / 2)] ?? 0;
  return {
    passedOver: Math.max(0, ...nodes.flatMap((list) => list.map((one) => passed(list, one)))),
    slowest: median > 0 ? (lasts.at(-1) ?? 0) / median : 1,
  };
}
