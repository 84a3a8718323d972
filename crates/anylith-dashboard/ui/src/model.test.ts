import { expect, test } from 'vitest';

import { type Group, type State, changed } from './model';

function group(name: string, state: 'ready' | 'backoff' = 'ready'): Group {
  return {
    name,
    components: [name],
    replicas: [{ id: `${name}-1`, pid: 1, address: null, state, restarts: 0 }],
  };
}

const BEFORE: State = {
  status: { app: 'shop', topology: 'micro', epoch: 1, groups: [group('Cart'), group('Web')], listeners: {} },
  notes: [],
  supervisor: 7,
  troubles: [],
  change: 'reshaping',
  underway: { kind: 'reshape', to: 'one' },
};

test('what a change does not have stays', () => {
  expect(changed(BEFORE, {})).toEqual(BEFORE);
});

test('a group that has changed is in its place', () => {
  const { groups } = changed(BEFORE, { groups: [group('Cart', 'backoff')] }).status;
  expect(groups).toEqual([group('Cart', 'backoff'), group('Web')]);
});

test('groups come and go by their order', () => {
  const { groups } = changed(BEFORE, { groups: [group('all')], order: ['all', 'Web'] }).status;
  expect(groups.map(({ name }) => name)).toEqual(['all', 'Web']);
});

test('a change under way ends', () => {
  const over = changed(BEFORE, { change: null, underway: null });
  expect([over.change, over.underway]).toEqual([null, null]);
  expect(changed(BEFORE, { epoch: 2 })).toMatchObject({ change: 'reshaping', underway: { to: 'one' } });
});
