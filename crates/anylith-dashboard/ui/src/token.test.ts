import { expect, test, vi } from 'vitest';

import { takeToken } from './token';

function storage(): Storage {
  const kept = new Map<string, string>();
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  } as unknown as Storage;
}

test('a token leaves the address, and stays with the tab', () => {
  const [own, history] = [storage(), { replaceState: vi.fn() }];
  const given = { hash: '#token=0a1b', pathname: '/' } as Location;
  expect(takeToken(given, history as unknown as History, own)).toBe('0a1b');
  expect(history.replaceState).toHaveBeenCalledWith(null, '', '/#/shape');
  const later = { hash: '#/graph', pathname: '/' } as Location;
  expect(takeToken(later, history as unknown as History, own)).toBe('0a1b');
  expect(history.replaceState).toHaveBeenCalledTimes(1);
});

test('without a token there is none', () => {
  const history = { replaceState: vi.fn() } as unknown as History;
  for (const hash of ['', '#/shape', '#token=<script>']) {
    expect(takeToken({ hash, pathname: '/' } as Location, history, storage())).toBeUndefined();
  }
});
