import { expect, test } from 'vitest';

import { dependents, reach } from './edges';
import { kindOf } from './kind';
import type { Component, EdgeNow, Group, Now, Plan, Replica, State } from './model';
import { Numbers } from './numbers';
import { costOf, linesOf, wrongIn } from './plan';
import { problemsOf } from './problems';

function replica(id: string, more: Partial<Replica> = {}): Replica {
  return { id, pid: 1, address: null, state: 'ready', restarts: 0, ...more };
}

function group(name: string, components: string[], replicas: number): Group {
  const numbers = Array.from({ length: replicas }, (_, index) => replica(`${name}-${index + 1}`));
  return { name, components, replicas: numbers };
}

function state(groups: Group[], more: Partial<State> = {}): State {
  const status = { app: 'shop', topology: 'any', epoch: 1, groups, listeners: {} };
  return { status, notes: [], supervisor: 1, troubles: [], change: null, underway: null, ...more };
}

test('shapes are told apart', () => {
  const kind = (...groups: Group[]) => kindOf(state(groups).status).name;
  expect(kind(group('one', ['A', 'B'], 1))).toBe('Monolith');
  expect(kind(group('one', ['A', 'B'], 3))).toBe('Replicated monolith');
  expect(kind(group('A', ['A'], 1), group('B', ['B'], 2))).toBe('Microservices');
  expect(kind(group('ab', ['A', 'B'], 1), group('C', ['C'], 1))).toBe('A mix');
});

test('what drains is not what an application is', () => {
  const old = { ...group('one', ['A', 'B'], 1), replicas: [replica('one-1', { state: 'draining' })] };
  expect(kindOf(state([group('A', ['A'], 1), group('B', ['B'], 1), old]).status).name).toBe('Microservices');
});

test('an application of which all drains stops', () => {
  const draining = (name: string) => ({ ...group(name, [name], 1), replicas: [replica(`${name}-1`, { state: 'draining' })] });
  expect(kindOf(state([draining('A'), draining('B')]).status).name).toBe('Stopping');
});

test('an edge is local where the same group has both ends', () => {
  const whole = group('one', ['A', 'B'], 1);
  const alone = group('A', ['A'], 1);
  expect(reach([whole], 'A', 'B')).toBe('local');
  expect(reach([alone, group('B', ['B'], 1)], 'A', 'B')).toBe('remote');
  // As it is in the middle of a reshape.
  expect(reach([whole, alone], 'A', 'B')).toBe('both');
});

test('who is dependent on a component is found', () => {
  const component = (name: string, dependencies: string[]): Component => ({ name, dependencies, listeners: [], methods: [] });
  const all = [component('A', ['B']), component('B', []), component('C', ['A', 'B'])];
  expect(dependents(all, 'B')).toEqual(['A', 'C']);
});

const NOTHING = { calls_per_second: 0, remote_per_second: 0, failed_per_second: 0, in_flight: 0 };

function edge(caller: string, callee: string, more: Partial<EdgeNow> = {}): EdgeNow {
  return { caller, callee, ...NOTHING, calls_per_second: 100, p50_us: 100, p99_us: 1000, ...more };
}

function now(edges: EdgeNow[], more: Partial<Now> = {}): Now {
  const need = { cores: 0, memory_bytes: 0, ready: 1, total: 1 };
  return { at_ms: 1, seconds: 5, metrics: 'all', ...NOTHING, ...need, components: [], edges, replicas: [], marks: [], host_cores: 2, ...more };
}

const NONE = new Numbers(undefined);

test('where there are no numbers there are none to show', () => {
  expect([NONE.load('A-1'), NONE.edge('A', 'B'), NONE.width('A', 'B'), NONE.verdict('A', 'B')]).toEqual([undefined, undefined, undefined, undefined]);
});

test('numbers are shown where there are some', () => {
  const numbers = new Numbers(now([edge('A', 'B', { calls_per_second: 99 })], { replicas: [{ id: 'A-1', cores: 3.4 }, { id: 'B-1', cores: 0.5 }] }));
  expect([numbers.load('A-1'), numbers.load('B-1'), numbers.load('C-1')]).toEqual([1, 0.25, undefined]);
  expect(numbers.width('A', 'B')).toBeGreaterThan(numbers.width('B', 'A') ?? 9);
});

test('where nothing is counted no edge is said to be idle', () => {
  const numbers = new Numbers(now([], { metrics: 'off' }));
  expect([numbers.counted, numbers.width('A', 'B')]).toEqual([false, undefined]);
});

test('the edge that is slow is told from those that wait for it', () => {
  const slow = { p50_us: 1e6, p99_us: 2e6 };
  const numbers = new Numbers(now([edge('A', 'B', slow), edge('B', 'C', slow), edge('B', 'D'), edge('A', 'D')]));
  const tones = [
    ['A', 'B'],
    ['B', 'C'],
    ['B', 'D'],
    ['A', 'D'],
  ].map(([from = '', to = '']) => numbers.verdict(from, to)?.tone);
  expect(tones).toEqual(['fine', 'slow', 'fine', 'fine']);
  expect(numbers.verdict('A', 'B')?.text).toContain('most of it for what B calls: C');
});

test('one slow call among few makes no slow edge', () => {
  const few = { calls_per_second: 1, p50_us: 900, p99_us: 2e6 };
  const numbers = new Numbers(now([edge('A', 'B', few), edge('A', 'C', { ...few, p50_us: 2e6 })]));
  expect([numbers.verdict('A', 'B')?.tone, numbers.verdict('A', 'C')?.short]).toEqual(['fine', 'p50 2.0 s']);
});

test('an edge whose calls fail is told, and one whose calls were given up is not', () => {
  const failing = { failed_per_second: 5, failures: { unknown: 4, cancelled: 1 } };
  const given = { failed_per_second: 5, failures: { cancelled: 5 } };
  const numbers = new Numbers(now([edge('A', 'B', failing), edge('A', 'C', given)]));
  expect([numbers.verdict('A', 'B')?.short, numbers.verdict('A', 'C')?.tone]).toEqual(['4 % fail', 'fine']);
  const problems = problemsOf(state([group('A', ['A'], 1)]), numbers);
  expect(problems.map(({ title, text }) => [title, text])).toEqual([
    ['A → B: 4 % of the calls fail', '4.0/s are not answered before their deadline, or their answer is lost'],
  ]);
});

test('the gravest problem comes first', () => {
  const groups = [
    { ...group('A', ['A'], 0), replicas: [replica('A-1', { state: 'starting' })] },
    { ...group('B', ['B'], 0), replicas: [replica('B-1', { counters: { denied: 2, retried: 5 } })] },
    { ...group('C', ['C'], 0), replicas: [replica('C-1', { state: 'backoff', pid: null, restarts: 4 })] },
    { ...group('D', ['D'], 0), replicas: [replica('D-1', { state: 'starting', silent: true })] },
  ];
  const notes = [
    { replica: 'A-1', text: 'A waits for B' },
    { replica: 'C-1', text: 'failed 5 times in a row' },
  ];
  const problems = problemsOf(state(groups, { notes, troubles: ['the state cannot be written'] }), NONE);
  expect(problems.map(({ gravity, title }) => `${gravity}: ${title}`)).toEqual([
    'failing: C-1 keeps failing',
    'failing: D-1 is silent',
    'warning: The supervisor',
    'warning: B-1: 2 calls denied: the dependency graph does not have that edge',
    'waiting: A-1 is starting',
  ]);
  expect(problems[0]?.text).toBe('failed 5 times in a row');
});

test('an application that is well has no problems', () => {
  expect(problemsOf(state([group('A', ['A'], 2)]), NONE)).toEqual([]);
});

test('a plan says first what changes', () => {
  const change = { components: ['A'], comes: [], goes: [], before: 1, after: 1 };
  const plan: Plan = {
    from: 'one',
    to: 'two',
    groups: [
      { name: 'same', becomes: 'kept', ...change },
      { name: 'more', becomes: 'kept', ...change, comes: ['B'], after: 2 },
      { name: 'old', becomes: 'gone', ...change, after: 0 },
      { name: 'new', becomes: 'new', ...change, before: 0, after: 3 },
    ],
    processes: { before: 3, peak: 7, after: 6 },
    memory: { before_bytes: 1, peak_bytes: 3 * 1024 * 1024 },
    outcome: 'planned',
  };
  expect(linesOf(plan).map(({ mark, group: name, text }) => `${mark} ${name}, ${text}`)).toEqual([
    '~ more, 2 replicas instead of 1: A, + B',
    '− old, 1 replica: A',
    '+ new, 3 replicas: A',
    '= same, 1 replica: A',
  ]);
  expect(costOf(plan)).toEqual([
    '3 processes now, 7 at the peak, 6 after',
    '1 MiB of memory now, at most about 3 MiB at the peak',
  ]);
});

test('what is no number of replicas is known without asking', () => {
  const right = ['3', '1..6', '0..=5', '2,Catalog=3', 'Catalog=1..6, Cart = 2'];
  expect(right.filter((sizes) => wrongIn(sizes) !== undefined)).toEqual([]);
  const wrong = ['many', '-1', '1..', 'Catalog=', '2,,3', ''];
  expect(wrong.filter((sizes) => wrongIn(sizes) === undefined)).toEqual([]);
});
