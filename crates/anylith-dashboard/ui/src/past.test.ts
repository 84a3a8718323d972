import { expect, test } from 'vitest';

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
