import assert from 'node:assert/strict';
import {
  executorAt,
  type OfferSources,
  offersOf,
  readAddresses,
  readAttached,
  withAddress,
} from '../../../src/core/attached.ts';

const attached = { id: 'i', name: 'prod', address: 'tcp://10.0.0.5:8786' };

describe('what a workspace remembers of attached clusters', () => {
  it('is read as it was written; what can’t be understood is left out', () => {
    const whole = {
      ...attached,
      executor: { name: 'prod', address: '10.0.0.5:8786' },
      files: { ca: 'ca.pem', key: 'key.pem' },
      secret: false,
      used: true,
    };
    assert.deepEqual(readAttached(JSON.parse(JSON.stringify([whole, attached]))), [whole, attached]);
    assert.deepEqual(readAttached([{ ...attached, address: 1 }, 'x', null, attached]), [attached]);
    for (const nothing of [undefined, null, {}, 'x']) assert.deepEqual(readAttached(nothing), []);
  });

  it('are the last addresses, each once', () => {
    const many = Array.from({ length: 20 }, (_, i) => `tcp://h${i}:1`);
    let kept: unknown;
    for (const address of [...many, 'tcp://h15:1']) kept = withAddress(kept, address);
    const read = readAddresses(kept);
    assert.deepEqual(read.slice(0, 3), ['tcp://h15:1', 'tcp://h19:1', 'tcp://h18:1']);
    assert.equal(read.length, 10);
    assert.deepEqual(readAddresses({ a: 1 }), []);
    assert.deepEqual(readAddresses([1, 'tcp://a:1']), ['tcp://a:1']);
  });
});

describe('schedulers that are offered', () => {
  const offers = (sources: Partial<OfferSources>) =>
    offersOf({ dask: [], executors: [], before: [], attached: [], ...sources }).map(
      ({ address, from, executor }) => [address, from, executor].filter(Boolean).join(' | '),
    );
  const prod = { name: 'prod', kind: 'existing', address: 'tls://prod:8786' } as const;

  it('come from Dask’s configuration, from executors and from before, in that order', () => {
    const dask = [{ address: 'tcp://dask:8786', source: 'DASK_SCHEDULER_ADDRESS' }];
    const executors = [{ name: 'local', kind: 'local' }, prod] as const;
    assert.deepEqual(offers({ dask, executors, before: ['ws://old:1'] }), [
      'tcp://dask:8786 | DASK_SCHEDULER_ADDRESS',
      'tls://prod:8786 | executor prod | prod',
      'ws://old:1 | used before',
    ]);
  });

  it('are each there once, and know their executor', () => {
    const dask = [{ address: 'TLS://prod:8786/', source: 'dask.yaml' }];
    assert.deepEqual(offers({ dask, executors: [prod], before: ['tls://prod:8786'] }), [
      'TLS://prod:8786/ | dask.yaml | prod',
    ]);
    const bare = { ...prod, address: 'prod:8786' };
    assert.deepEqual(offers({ executors: [bare], before: ['tcp://prod:8786'] }), [
      'prod:8786 | executor prod | prod',
    ]);
  });

  it('may be typed in another spelling than their executor’s', () => {
    const executors = [{ name: 'local', kind: 'local' }, prod] as const;
    assert.equal(executorAt(executors, ' TLS://prod:8786/ '), prod);
    assert.equal(executorAt(executors, 'tcp://prod:8786'), undefined);
    const bare = { ...prod, address: 'prod:8786' };
    assert.equal(executorAt([bare], 'tcp://prod:8786'), bare);
  });

  it('are not those that are attached', () => {
    assert.deepEqual(
      offers({ executors: [prod], before: ['a:1'], attached: ['tls://prod:8786', 'tcp://a:1'] }),
      [],
    );
  });
});
