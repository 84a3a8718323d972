import type { Mark, MarkKind } from './model';

/** One line of a chart. */
export interface Series {
  name: string;
  /** A value for each moment; `null` where there is none. */
  values: (number | null)[];
  look: 'solid' | 'dashed' | 'bad';
}

/** From when to when charts go, in milliseconds of Unix time. */
export interface Axis {
  from: number;
  to: number;
}

interface Props {
  title: string;
  series: Series[];
  at: number[];
  axis: Axis;
  marks: Mark[];
  /** The point that is looked at, by its place; the last one if there is none. */
  cursor: number | undefined;
  /** A value, for people. */
  read: (value: number | null) => string;
  /** The least that the axis goes up to. */
  least: number;
  /** What the axis' end is rounded up to: a number of bytes is rounded otherwise than others. */
  base?: number;
  point: (place: number | undefined) => void;
}

/** The drawing's own units: what is drawn is stretched to the room that there is. */
const WIDTH = 1000;
const HEIGHT = 100;

/** Lines over time, above each other, with marks where something has happened. */
export function Chart({ title, series, at, axis, marks, cursor, read, least, base, point }: Props) {
  const most = Math.max(least, ...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const top = roundedUp(most, base);
  const x = (ms: number) => (WIDTH * (ms - axis.from)) / (axis.to - axis.from);
  const shown = cursor ?? at.length - 1;
  const when = at[shown];
  return (
    <figure class="chart" data-chart={title}>
      <figcaption>
        <b>{title}</b>
        {series.map(({ name, values, look }) => (
          <span key={name} class="value">
            <svg viewBox="0 0 24 8" aria-hidden="true">
              <path class={`series ${look}`} d="M0 4h24" />
            </svg>
            {name} <b>{read(values[shown] ?? null)}</b>
          </span>
        ))}
      </figcaption>
      <div
        class="plot"
        onMouseMove={(event) => {
          const { left, width } = event.currentTarget.getBoundingClientRect();
          point(nearest(at, axis.from + ((event.clientX - left) / width) * (axis.to - axis.from)));
        }}
        onMouseLeave={() => point(undefined)}
      >
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          <path class="grid" d={`M0 ${HEIGHT / 2}H${WIDTH}M0 0H${WIDTH}M0 ${HEIGHT}H${WIDTH}`} />
          {marks.map((mark) => (
            <path key={`${mark.at_ms} ${mark.text}`} class={`when ${mark.kind}`} d={`M${round(x(mark.at_ms))} 0V${HEIGHT}`} />
          ))}
          {series.map(({ name, values, look }) => (
            <path key={name} class={`series ${look}`} d={line(values, at, x, top)} />
          ))}
          {cursor !== undefined && when !== undefined && <path class="cursor" d={`M${round(x(when))} 0V${HEIGHT}`} />}
        </svg>
        <span class="scale">{read(top)}</span>
      </div>
    </figure>
  );
}

/** A line through all values; where there is none, or nobody looked for long, it is broken. */
function line(values: (number | null)[], at: number[], x: (ms: number) => number, top: number): string {
  let drawn = '';
  let before: number | undefined;
  const steps = at.slice(1).map((ms, index) => ms - (at[index] ?? ms));
  const usual = steps.sort((one, other) => one - other)[Math.floor(steps.length / 2)] ?? 0;
  at.forEach((ms, index) => {
    const value = values[index];
    if (value == null) {
      before = undefined;
      return;
    }
    const joined = before !== undefined && ms - before <= 4 * usual;
    const y = round(HEIGHT - (HEIGHT * value) / top);
    // What stands alone is a point: a line of no length with round ends.
    drawn += joined ? `L${round(x(ms))} ${y}` : `M${round(x(ms))} ${y}h0`;
    before = ms;
  });
  return drawn;
}

function round(number: number): number {
  return Math.round(number * 10) / 10;
}

/** The least of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 with its noughts that is not less. */
export function roundedUp(value: number, base = 1): number {
  let unit = base;
  while (unit * 10 <= value) {
    unit *= 10;
  }
  while (unit >= value && unit > base * 1e-6) {
    unit /= 10;
  }
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * unit).find((end) => end >= value) ?? value;
}

/** The place of the moment that is nearest. */
export function nearest(at: number[], ms: number): number | undefined {
  let best: number | undefined;
  at.forEach((moment, place) => {
    if (best === undefined || Math.abs(moment - ms) < Math.abs((at[best] ?? 0) - ms)) {
      best = place;
    }
  });
  return best;
}

/** What a mark looks like, and what it is called: its colour is not the only sign. */
export const MARKS: Record<MarkKind, { mark: string; word: string }> = {
  failure: { mark: '✕', word: 'failure' },
  problem: { mark: '!', word: 'problem' },
  recovery: { mark: '✓', word: 'well again' },
  restart: { mark: '↻', word: 'restart' },
  scale: { mark: '⇕', word: 'scale' },
  reshape: { mark: '◇', word: 'reshape' },
  upgrade: { mark: '⇧', word: 'upgrade' },
  other: { mark: '·', word: 'event' },
};
