import type { DockerExecutor } from '../../core/dockerExecutor.ts';
import { UserError } from '../../core/errors.ts';
import { within } from '../../core/limit.ts';
import { type Finding, findingOf } from '../../core/preflight/finding.ts';
import { findEngine, openEngine } from './engine.ts';
import { imageFacts, isForeign } from './image.ts';
import { withRunImage } from './runImage.ts';

const answerMs = 8_000;

/** Whether clusters of an executor can start: its engine, and its image there. Nothing is made or pulled. */
export async function checkDocker(executor: DockerExecutor, signal: AbortSignal): Promise<Finding[]> {
  const findings: Finding[] = [];
  try {
    const place = await findEngine(executor);
    const engine = await openEngine(place, signal);
    findings.push({ severity: 'good', message: `The Docker engine at ${place.host} (${place.by}) answers` });
    const own = await withRunImage(executor, { engine, env: {}, signal });
    const late = () =>
      new UserError('timeout', `The Docker engine at ${place.host} does not tell its images`);
    const facts = await within(imageFacts(engine, own.image), answerMs, late);
    signal.throwIfAborted();
    return [...findings, ...judgeImage(own, facts)];
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof UserError) return [findingOf(error), ...findings];
    throw error;
  }
}

function judgeImage(
  { image, pull = 'missing' }: DockerExecutor,
  facts: Awaited<ReturnType<typeof imageFacts>>,
): Finding[] {
  if (facts && isForeign(facts)) {
    const message = `The image ${image} is for ${facts.architecture}, the machine of the engine is ${facts.engineArchitecture}`;
    return [{ severity: 'warning', message, hint: 'It runs there only by an emulator, slowly.' }];
  }
  if (facts) {
    const also = pull === 'always' ? ', and is pulled anew at each start' : '';
    return [{ severity: 'good', message: `The image ${image} is there${also}` }];
  }
  if (pull !== 'never')
    return [{ severity: 'info', message: `The image ${image} is not there yet: the first start pulls it` }];
  const hint = 'Build or pull it, or let pull be "missing".';
  return [{ severity: 'error', message: `The image ${image} is not there, and pull is "never"`, hint }];
}
