import { type GroupPrediction, predictGroup } from '../migration/predict-group.ts';
import type { MigrationRequest, Plan } from '../migration/record.ts';
import type { Caller } from './authorize.ts';
import type { ControllerContext } from './context.ts';
import { planRequest } from './requests.ts';
import { refuseTwice } from './submit-set.ts';
import { limitsOf } from './turn-taker.ts';

/** Looks at so many containers at once: each measures its link. */
const atOnce = 4;

export interface SetPlan {
  /** In the order of the requests. */
  plans: Plan[];
  /** Of those that can go, together. */
  prediction: GroupPrediction | null;
  /** What a person should know all the same. */
  notes: string[];
}

/**
 * The dry run of a set: the plan of each move with every reason against it, and how long all take together.
 * @throws RankshiftError as submitSet, but for what a plan says.
 */
export async function planSet(
  context: ControllerContext,
  caller: Caller,
  requests: readonly MigrationRequest[],
): Promise<SetPlan> {
  refuseTwice(requests);
  const plans: Plan[] = [];
  for (let at = 0; at < requests.length; at += atOnce) {
    const some = requests.slice(at, at + atOnce);
    plans.push(...(await Promise.all(some.map((request) => planRequest(context, caller, request)))));
  }
  const going = plans.flatMap((plan, index) => {
    const order = requests[index]?.order;
    const move = { id: plan.container, plan, ...(order === undefined ? {} : { order }) };
    return plan.reasons.length === 0 ? [move] : [];
  });
  const chosen = plans.flatMap(({ target }, index) => (requests[index]?.to === undefined ? (target ?? []) : []));
  const shared = chosen.filter((node, index) => chosen.indexOf(node) !== index);
  const notes = [...new Set(shared)].map(
    (node) =>
      `${node} was chosen for several, each looked at by itself: the moves share what it has, and may go elsewhere`,
  );
  return { plans, prediction: predictGroup(going, limitsOf(context.config)), notes };
}
