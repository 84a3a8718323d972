import { expect, test } from 'vitest';

import style from './style.css?raw';

type Scheme = 0 | 1;

/** Every colour of the sheet that differs in light and in dark, by its name. */
const COLOURS = new Map(
  [...style.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(
    ([, name, light, dark]) => [name ?? '', [light ?? '', dark ?? '']] as const,
  ),
);

const HUES = [...style.matchAll(/--hue: light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(([, light, dark]) => [light, dark]);

/** https://www.w3.org/TR/WCAG22/#dfn-relative-luminance */
function luminance(colour: string): number {
  const channel = (at: number) => {
    const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
}

/** https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio */
function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function colour(name: string, scheme: Scheme): string {
  const found = COLOURS.get(name)?.[scheme];
  if (found === undefined) {
    throw new Error(`the sheet has no colour ${name}`);
  }
  return found;
}

const GROUNDS = ['ground', 'raised', 'sunken'];

/** What is read on what. */
const TEXTS: [string, string[]][] = [
  ['text', [...GROUNDS, 'good-ground', 'busy-ground', 'bad-ground']],
  ['quiet', [...GROUNDS, 'bad-ground']],
  ['accent', GROUNDS],
  ['good', [...GROUNDS, 'good-ground']],
  ['busy', [...GROUNDS, 'busy-ground']],
  ['bad', [...GROUNDS, 'bad-ground']],
  ['on-accent', ['accent']],
  ['raised', ['bad']],
];

/** `over` laid on `ground`, as `color-mix` does it. */
function mixed(over: string, ground: string, share: number): string {
  const channel = (at: number) => {
    const [one, other] = [over, ground].map((colour) => Number.parseInt(colour.slice(at, at + 2), 16));
    return Math.round((one ?? 0) * share + (other ?? 0) * (1 - share))
      .toString(16)
      .padStart(2, '0');
  };
  return `#${channel(1)}${channel(3)}${channel(5)}`;
}

/** How much of the accent the load of a process has, as the sheet says. */
const LOAD = Number(/\.load \{[^}]*background: color-mix\(in srgb, var\(--accent\) (\d+)%/.exec(style)?.[1]) / 100;

for (const scheme of [0, 1] as const) {
  const name = ['light', 'dark'][scheme];
  test(`text can be read in ${name}`, () => {
    const pairs = TEXTS.flatMap(([text, grounds]) => grounds.map((ground) => [text, ground] as const));
    const faint = pairs.filter(([text, ground]) => contrast(colour(text, scheme), colour(ground, scheme)) < 4.5);
    expect(faint).toEqual([]);
  });

  test(`text can be read on the load of a process in ${name}`, () => {
    const load = mixed(colour('accent', scheme), colour('raised', scheme), LOAD);
    expect(['text', 'quiet', 'good', 'busy'].filter((text) => !(contrast(colour(text, scheme), load) >= 4.5))).toEqual([]);
  });

  test(`lines of graphs and charts can be seen in ${name}`, () => {
    const lines = ['strong-line', 'accent', 'busy', 'bad'];
    expect(lines.filter((line) => contrast(colour(line, scheme), colour('raised', scheme)) < 3)).toEqual([]);
  });

  test(`borders and shapes can be seen in ${name}`, () => {
    const grounds = GROUNDS.map((ground) => colour(ground, scheme));
    const shapes = [colour('strong-line', scheme), ...HUES.map((hue) => hue[scheme] ?? '')];
    const faint = shapes.flatMap((shape) => grounds.filter((ground) => contrast(shape, ground) < 3).map((ground) => [shape, ground]));
    expect(shapes.length).toBe(11);
    expect(faint).toEqual([]);
  });
}
