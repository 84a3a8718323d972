import type { RefObject } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

interface Spot {
  x: number;
  y: number;
}

/** Where something was when it was last looked at, and what it was. */
interface Known extends Spot {
  component: string | undefined;
}

/** How long something moves. */
const MOVE_MS = 700;

/**
 * Lets what has another place than before move there: what bears `data-spot` is the same as long as that says the same. A
 * component that comes to life in another process (`data-component`) comes from the nearest place where it was before.
 */
export function useFlights(root: RefObject<HTMLElement | null>): void {
  const known = useRef(new Map<string, Known>());
  const width = useRef(0);
  useLayoutEffect(() => {
    const { current } = root;
    if (current === null) {
      return;
    }
    const before = known.current;
    const now = new Map<string, Known>();
    const elements = [...current.querySelectorAll<HTMLElement>('[data-spot]')];
    for (const element of elements) {
      const spot = element.dataset['spot'] ?? '';
      now.set(spot, { ...offset(element, current), component: element.dataset['component'] });
    }
    known.current = now;
    // Where the page has another width, everything is elsewhere, and nothing has moved.
    const same = width.current === current.clientWidth;
    width.current = current.clientWidth;
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    if (before.size === 0 || !same || calm) {
      return;
    }
    for (const element of elements) {
      const from = origin(element, before, now);
      if (from !== undefined && (from.x !== 0 || from.y !== 0)) {
        move(element, from);
      }
    }
  });
}

/** From where `element` moves, seen from where it is; `undefined` if it was nowhere. */
function origin(element: HTMLElement, before: Map<string, Known>, now: Map<string, Known>): Spot | undefined {
  const spot = element.dataset['spot'] ?? '';
  const here = now.get(spot);
  if (here === undefined) {
    return undefined;
  }
  const same = before.get(spot);
  const carried = carrier(element, before, now);
  if (same !== undefined) {
    // What its process moves by, it moves by itself.
    return { x: same.x - here.x - carried.x, y: same.y - here.y - carried.y };
  }
  const { component } = here;
  if (component === undefined) {
    return undefined;
  }
  const nearest = [...before.values()]
    .filter((one) => one.component === component)
    .sort((one, other) => distance(one, here) - distance(other, here))[0];
  return nearest && { x: nearest.x - here.x - carried.x, y: nearest.y - here.y - carried.y };
}

/** By how much the process moves that `element` is in. */
function carrier(element: HTMLElement, before: Map<string, Known>, now: Map<string, Known>): Spot {
  const process = element.parentElement?.closest<HTMLElement>('[data-spot]')?.dataset['spot'] ?? '';
  const [from, to] = [before.get(process), now.get(process)];
  return from === undefined || to === undefined ? { x: 0, y: 0 } : { x: from.x - to.x, y: from.y - to.y };
}

function distance(one: Spot, other: Spot): number {
  return Math.hypot(one.x - other.x, one.y - other.y);
}

function move(element: HTMLElement, from: Spot): void {
  element.classList.add('moving');
  const moving = element.animate(
    [{ transform: `translate(${from.x}px, ${from.y}px)` }, { transform: 'none' }],
    { duration: MOVE_MS, easing: 'cubic-bezier(0.3, 0.7, 0.2, 1)' },
  );
  const end = () => element.classList.remove('moving');
  moving.onfinish = end;
  moving.oncancel = end;
}

/** Where the layout has `element` within `root`, whatever moves now. */
function offset(element: HTMLElement, root: HTMLElement): Spot {
  let [x, y] = [0, 0];
  let at: HTMLElement | null = element;
  while (at !== null && at !== root) {
    x += at.offsetLeft;
    y += at.offsetTop;
    at = at.offsetParent as HTMLElement | null;
  }
  return { x, y };
}
