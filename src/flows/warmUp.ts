import { setImmediate as otherWork } from 'node:timers/promises';
import { FlowDocument } from './document.ts';
import type { PythonParser } from './parser.ts';

const SAMPLE = `
@flow(name="sample", retries=1)
async def sample_N(a: str, b: int = 3, *, c: list[str] = ["x", 'y']) -> None:
    """What a module looks like."""
    for row in a.split(","):
        if row and b > 1:
            print(f"{row!r}", {"key": [row, b]}, sep="\\n")  # a comment
    return [value * 2 for value in (1, 2, 3)]


class Pipeline_N:
    @staticmethod
    @flow
    def run(self, day=None):
        return self.total(day)
`;

/**
 * Reads a made-up module a few times, so that the JavaScript engine has compiled this room (and tree-sitter) when
 * the first document comes: a long file opens three times as fast then. Takes some 40 ms in steps of 4, between
 * which requests are served.
 */
export async function warmUp(parser: PythonParser): Promise<void> {
  const samples = Array.from({ length: 12 }, (_, at) => SAMPLE.replaceAll('_N', `_${at}`));
  const text = `from prefect import flow\n${samples.join('')}`;
  for (let round = 0; round < 10; round++) {
    await otherWork();
    new FlowDocument(parser, 'sample.py').flows(text);
  }
}
