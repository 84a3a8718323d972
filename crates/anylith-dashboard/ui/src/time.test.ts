import { expect, test } from 'vitest';

import { read } from './address';
import { nearest, roundedUp } from './chart';
import { bytes, percent, plain, time } from './figures';
import type { Mark, Now, Past } from './model';
import { wentOn } from './past';

const MARK: Mark = { at_ms: 1_500, kind: 'failure', text: 'Cart-1 has failed' };

function past(at: number[]): Past {
  const all = at.map(() => 1);
  return {
    at_ms: at,
    step_ms: 1000,
    calls_per_second: all,
    remote_per_second: all,
    failed_per_second: all,
    p50_us: all,
    p99_us: all,
    need: { cores: all, memory_bytes: all, ready: all, total: all },
    marks: [],
  };
}

function now(at_ms: number, marks: Mark[] = []): Now {
  const flow = { calls_per_second: 7, remote_per_second: 5, failed_per_second: 3, in_flight: 0 };
  const need = { cores: 0.5, memory_bytes: 9, ready: 1, total: 2 };
  const edges = [{ caller: 'A', callee: 'B', ...flow, p50_us: 4 }];
  return { at_ms, seconds: 5, metrics: 'all', ...flow, ...need, components: [], edges, replicas: [], marks, host_cores: 2 };
}

test('a past goes on with what happens now', () => {
  const later = wentOn(past([1000, 2000]), { of: 'all' }, 'minutes', now(3000, [MARK]));
  expect(later.at_ms).toEqual([1000, 2000, 3000]);
  expect([later.calls_per_second, later.p50_us, later.need?.total]).toEqual([[1, 1, 7], [1, 1, null], [1, 1, 2]]);
  expect(later.marks).toEqual([MARK]);
  // Told again, it is the same mark.
  expect(wentOn(later, { of: 'all' }, 'minutes', now(4000, [MARK])).marks).toEqual([MARK]);
});

test('an edge along which nobody calls has points as well', () => {
  const edge = { of: 'edge', caller: 'A', callee: 'B' } as const;
  expect(wentOn(past([1000]), edge, 'minutes', now(2000)).p50_us).toEqual([1, 4]);
  const other = { of: 'edge', caller: 'B', callee: 'A' } as const;
  expect(wentOn(past([1000]), other, 'minutes', now(2000)).calls_per_second).toEqual([1, 0]);
});

test('what comes too soon for another point is none, and no past grows without end', () => {
  const known = { ...past([1000]), step_ms: 10_000 };
  expect(wentOn(known, { of: 'all' }, 'hour', now(2000))).toBe(known);
  const long = past(Array.from({ length: 300 }, (_, index) => index * 1000));
  const later = wentOn(long, { of: 'all' }, 'minutes', now(300_000));
  expect([later.at_ms.length, later.at_ms[0], later.need?.cores.length]).toEqual([300, 1000, 300]);
});

test('an axis ends at a round number', () => {
  expect([0.03, 0.9, 1, 1.1, 3, 55, 101, 1e6].map((value) => roundedUp(value))).toEqual([0.03, 1, 1, 1.5, 3, 60, 150, 1e6]);
  expect(roundedUp(300 * 1024 ** 2, 1024 ** 2) / 1024 ** 2).toBe(300);
});

test('the nearest moment is found', () => {
  expect([-5, 1400, 1600, 9999].map((ms) => nearest([1000, 2000], ms))).toEqual([0, 0, 1, 1]);
  expect(nearest([], 7)).toBeUndefined();
});

test('figures have the unit that fits', () => {
  expect([0.052, 9.81, 1234, 1_500_000, null].map(time)).toEqual(['52 ns', '9.8 µs', '1.2 ms', '1.5 s', '–']);
  expect([0, 512, 12.1 * 1024 ** 2, 3 * 1024 ** 3].map(bytes)).toEqual(['0 B', '512 B', '12.1 MiB', '3.0 GiB']);
  expect([0, 0.05, 12.34, 12_345].map(plain)).toEqual(['0', '0.05', '12.3', '12,345']);
  expect([0, 0.001, 0.034].map(percent)).toEqual(['0 %', '<1 %', '3 %']);
});

test('an address names a view, and what is wanted of it', () => {
  const views = ['shape', 'time'] as const;
  const { view, wish } = read('#/time?of=A%20B', views);
  expect([view, wish.get('of')]).toEqual(['time', 'A B']);
  expect(['', '#/', '#/moon', '#token=1'].map((hash) => read(hash, views).view)).toEqual(['shape', 'shape', 'shape', 'shape']);
});
