import type { Analysis } from '../document.ts';
import { unknownArgument } from './arguments.ts';
import { tasksNotSubmitted, withOptionsUnused } from './callRules.ts';
import { clientWithoutGuard, dashboardAddress } from './clientRules.ts';
import { addressWithCluster, asynchronousSet, clusterObject } from './executorRules.ts';
import { imageTooEarly } from './image.ts';
import type { Mistake, Rule } from './mistake.ts';

const RULES: readonly Rule[] = [
  addressWithCluster,
  asynchronousSet,
  clientWithoutGuard,
  clusterObject,
  dashboardAddress,
  imageTooEarly,
  tasksNotSubmitted,
  unknownArgument,
  withOptionsUnused,
];

/** The mistakes of a document, in the order of their places. */
export function findMistakes(analysis: Analysis): Mistake[] {
  const found = RULES.flatMap((rule) => rule(analysis)).filter(
    // Half of what is being typed is always a mistake.
    ({ start }) => !analysis.executors.isBroken(start),
  );
  // What two executors share is found by both.
  const once = new Map(found.map((mistake) => [`${mistake.code} ${mistake.start} ${mistake.end}`, mistake]));
  return [...once.values()].sort((a, b) => a.start - b.start || a.end - b.end);
}
