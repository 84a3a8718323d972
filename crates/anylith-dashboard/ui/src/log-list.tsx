import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';

import { type Api, told } from './api';
import type { LogLine } from './model';
import { seamless } from './stream';

/** So many lines are kept; older ones are in the files. */
const MOST_LINES = 1000;

export interface LogQuery {
  component?: string;
  replica?: string;
  level?: string;
  text?: string;
  /** Only what was written for this trace. */
  trace?: string;
  lines?: string;
}

interface Props {
  api: Api;
  query: LogQuery;
  /** Whether it stays as it is, whatever comes. */
  paused?: boolean;
}

/** A line, and what tells it from all others of the list. */
interface Numbered {
  number: number;
  line: LogLine;
}

let next = 0;

/** The lines that fit, and those that come. */
export function LogList({ api, query, paused = false }: Props) {
  const [lines, setLines] = useState<Numbered[]>();
  const [failure, setFailure] = useState<string>();
  const list = useRef<HTMLOListElement>(null);
  const atEnd = useRef(true);
  const wish = JSON.stringify(query);
  useEffect(() => {
    if (paused) {
      return;
    }
    const end = new AbortController();
    let begins = true;
    void seamless({
      events: (signal) => {
        begins = true;
        return api.events('logs/follow', JSON.parse(wish) as Record<string, string>, signal);
      },
      take: ({ name, data }) => {
        if (name === 'lines') {
          const more = (JSON.parse(data) as LogLine[]).map((line) => ({ number: next++, line }));
          const first = begins;
          setLines((known) => [...(first ? [] : (known ?? [])), ...more].slice(-MOST_LINES));
          setFailure(undefined);
          begins = false;
        }
      },
      lost: (error) => {
        setFailure(told(error).what);
        return true;
      },
      until: end.signal,
    });
    return () => end.abort();
  }, [api, wish, paused]);
  useLayoutEffect(() => {
    const { current } = list;
    if (current !== null && atEnd.current) {
      current.scrollTop = current.scrollHeight;
    }
  }, [lines]);
  const scrolled = () => {
    const { current } = list;
    atEnd.current = current === null || current.scrollHeight - current.scrollTop - current.clientHeight < 24;
  };
  return (
    <>
      {failure !== undefined && <p class="wrong">✕ {failure}</p>}
      {lines?.length === 0 && <p class="quiet">No line fits yet.</p>}
      <ol class={lines?.length === 0 ? 'log empty' : 'log'} ref={list} onScroll={scrolled} tabindex={0} aria-label="Log lines">
        {lines?.map(({ number, line }) => (
          <Line key={number} line={line} />
        ))}
      </ol>
    </>
  );
}

export function Line({ line }: { line: LogLine }) {
  const { source, at, level, component, text } = line;
  const time = at.slice(11, 23);
  const own = component !== undefined && !source.startsWith(`${component}-`);
  return (
    <li class={level?.toLowerCase() ?? 'text'}>
      <time dateTime={at}>{time}</time> <b class="source">{source}</b> <span class="level">{level ?? ''}</span>{' '}
      <span class="text">
        {own && <b>{component}: </b>}
        {text}
      </span>
    </li>
  );
}
