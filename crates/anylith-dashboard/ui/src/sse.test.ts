import { expect, test } from 'vitest';

import { EventParser } from './sse';

test('events are the same in whatever pieces they come', () => {
  const text = ': alive\n\nevent: state\ndata: {"a":\ndata: 1}\n\ndata: plain\r\n\r\nevent: cut';
  const whole = new EventParser().feed(text);
  expect(whole).toEqual([
    { name: 'state', data: '{"a":\n1}' },
    { name: 'message', data: 'plain' },
  ]);
  for (let size = 1; size < 12; size++) {
    const parser = new EventParser();
    const pieces = [];
    for (let at = 0; at < text.length; at += size) {
      pieces.push(...parser.feed(text.slice(at, at + size)));
    }
    expect(pieces).toEqual(whole);
  }
});
