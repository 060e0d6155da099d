import {
  describeWays,
  kubernetesBackend,
  kubernetesExecutor,
  leftovers,
  optionsOf,
  until,
} from '../support/kubernetes.ts';
import { describeStories } from '../support/stories.ts';

describeWays('runs', 'runs', (way, namespaceOf) =>
  describeStories('on Kubernetes', { testMs: 120_000, runMs: 80_000 }, async (environment) => ({
    backend: kubernetesBackend(),
    executor: () => kubernetesExecutor(environment, namespaceOf(), optionsOf(way)),
    leftovers: () => leftovers(namespaceOf()),
    atOnce: (one) => one.startsWith('pod'),
    untilGone: () => until(async () => (await leftovers(namespaceOf())).length === 0),
  })),
);
