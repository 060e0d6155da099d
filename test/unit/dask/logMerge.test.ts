import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LogMerge } from '../../../src/dask/logMerge.ts';
import type { LogLine } from '../../../src/dask/scheduler.ts';

const line = (timeMs: number, text = `line ${timeMs}`): LogLine => ({ timeMs, level: 'INFO', text });
const log = (name: string, lines: readonly LogLine[]) => ({ address: `tcp://${name}`, name, lines });
const texts = (lines: readonly { text: string }[]) => lines.map(({ text }) => text);

describe('merging logs', () => {
  it('gives each line once, however a log is read', () => {
    const endings = fc.array(fc.record({ grow: fc.nat(30), look: fc.boolean() }), { maxLength: 30 });
    fc.assert(
      fc.property(endings, fc.integer({ min: 25, max: 60 }), fc.boolean(), (steps, kept, clockStands) => {
        const merge = new LogMerge();
        const all: LogLine[] = [];
        const seen: string[] = [];
        let unseen = 0;
        for (const { grow, look } of [...steps, { grow: 0, look: true }]) {
          // What a server drops before anybody looked is lost, whoever looks.
          const count = Math.min(grow, kept - unseen);
          for (let i = 0; i < count; i += 1) all.push(line(clockStands ? 7 : all.length, `${all.length}`));
          unseen += count;
          if (!look) continue;
          unseen = 0;
          const server = all.slice(-kept);
          const { lines, gaps } = merge.add([log('a', server.slice(-24))], false);
          seen.push(...texts(lines));
          if (gaps.length > 0) seen.push(...texts(merge.add([log('a', server)], true).lines));
        }
        // The first look shows what it asked for, no more.
        assert.deepEqual(seen, texts(all).slice(-seen.length));
        assert.ok(seen.length >= Math.min(all.length, 24));
      }),
    );
  });

  it('keeps lines apart that say the same', () => {
    const merge = new LogMerge();
    const same = [line(1, 'again'), line(1, 'again')];
    assert.equal(merge.add([log('a', same)], false).lines.length, 2);
    assert.equal(merge.add([log('a', [...same, line(2, 'again'), line(3, 'again')])], false).lines.length, 2);
    assert.equal(merge.add([log('a', [...same, line(2, 'again'), line(3, 'again')])], false).lines.length, 0);
  });

  it('goes by order, not by clocks: one may be set back', () => {
    const merge = new LogMerge();
    merge.add([log('a', [line(100), line(200)])], false);
    const { lines } = merge.add([log('a', [line(100), line(200), line(50), line(60)])], false);
    assert.deepEqual(texts(lines), ['line 50', 'line 60']);
  });

  it('gives a line of servers that share a process once, and says whose it is', () => {
    const merge = new LogMerge();
    const shared = [line(1), line(2)];
    const first = merge.add([log('n0', shared), log('n1', shared), log('n2', [line(3)])], false);
    assert.deepEqual(
      first.lines.map(({ text, servers }) => [text, servers.map(({ name }) => name).join()]),
      [
        ['line 1', 'n0,n1'],
        ['line 2', 'n0,n1'],
        ['line 3', 'n2'],
      ],
    );
    const late = merge.add([log('n3', shared)], false);
    assert.deepEqual(late.lines, [], 'one that is heard later has nothing new to say');
    const [of] = merge.add([log('n1', [...shared, line(4)])], false).lines;
    const names = of?.servers.map(({ name }) => name);
    assert.deepEqual(names?.sort(), ['n0', 'n1', 'n3'], 'also of those that are out of reach');
  });

  it('merges servers by time', () => {
    const merge = new LogMerge();
    const { lines } = merge.add([log('a', [line(1), line(4)]), log('b', [line(2), line(3)])], false);
    assert.deepEqual(texts(lines), ['line 1', 'line 2', 'line 3', 'line 4']);
  });

  it('takes a server that was restarted on its address as one that goes on', () => {
    const merge = new LogMerge();
    merge.add([log('a', [line(1), line(2), line(3)])], false);
    const fresh = [line(10), line(11)];
    assert.deepEqual(merge.add([log('a', fresh)], false), { lines: [], gaps: ['tcp://a'] });
    assert.deepEqual(texts(merge.add([log('a', fresh)], true).lines), ['line 10', 'line 11']);
    assert.deepEqual(texts(merge.add([log('a', [...fresh, line(12)])], false).lines), ['line 12']);
  });
});
