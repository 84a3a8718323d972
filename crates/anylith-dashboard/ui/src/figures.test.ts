import { expect, test } from 'vitest';

import { bytes, percent, plain, time } from './figures';

test('figures have the unit that fits', () => {
  expect([0.052, 9.81, 1234, 1_500_000, null].map(time)).toEqual(['52 ns', '9.8 µs', '1.2 ms', '1.5 s', '–']);
  expect([0, 512, 12.1 * 1024 ** 2, 3 * 1024 ** 3].map(bytes)).toEqual(['0 B', '512 B', '12.1 MiB', '3.0 GiB']);
  expect([0, 0.05, 12.34, 12_345].map(plain)).toEqual(['0', '0.05', '12.3', '12,345']);
  expect([0, 0.001, 0.034].map(percent)).toEqual(['0 %', '<1 %', '3 %']);
});
