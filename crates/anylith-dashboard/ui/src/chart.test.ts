import { expect, test } from 'vitest';

import { nearest, roundedUp } from './chart';

test('an axis ends at a round number', () => {
  expect([0.03, 0.9, 1, 1.1, 3, 55, 101, 1e6].map((value) => roundedUp(value))).toEqual([0.03, 1, 1, 1.5, 3, 60, 150, 1e6]);
  expect(roundedUp(300 * 1024 ** 2, 1024 ** 2) / 1024 ** 2).toBe(300);
});

test('the nearest moment is found', () => {
  expect([-5, 1400, 1600, 9999].map((ms) => nearest([1000, 2000], ms))).toEqual([0, 0, 1, 1]);
  expect(nearest([], 7)).toBeUndefined();
});
