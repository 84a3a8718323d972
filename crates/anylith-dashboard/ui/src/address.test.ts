import { expect, test } from 'vitest';

import { read } from './address';

test('an address names a view, and what is wanted of it', () => {
  const views = ['shape', 'time'] as const;
  const { view, wish } = read('#/time?of=A%20B', views);
  expect([view, wish.get('of')]).toEqual(['time', 'A B']);
  expect(['', '#/', '#/moon', '#token=1'].map((hash) => read(hash, views).view)).toEqual(['shape', 'shape', 'shape', 'shape']);
});
