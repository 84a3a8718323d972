import type { Replica } from './model';

interface Meaning {
  word: string;
  mark: string;
  tone: 'good' | 'busy' | 'bad' | 'quiet';
}

/** How a replica is, in a word, a mark and a tone: no one of them is the only sign. */
export function meaning(replica: Replica): Meaning {
  if (replica.silent === true) {
    return { word: 'silent', mark: '?', tone: 'bad' };
  }
  switch (replica.state) {
    case 'ready':
      return { word: 'ready', mark: '✓', tone: 'good' };
    case 'starting':
      return Object.keys(replica.unhealthy ?? {}).length > 0
        ? { word: 'unhealthy', mark: '!', tone: 'bad' }
        : { word: 'starting', mark: '…', tone: 'busy' };
    case 'draining':
      return { word: 'draining', mark: '↓', tone: 'busy' };
    case 'backoff':
      return { word: 'failing', mark: '✕', tone: 'bad' };
    case 'stopped':
      return { word: 'stopped', mark: '–', tone: 'quiet' };
  }
}

export function Sign({ replica }: { replica: Replica }) {
  const { word, mark, tone } = meaning(replica);
  return (
    <span class={`sign ${tone}`}>
      <span class="mark" aria-hidden="true">
        {mark}
      </span>
      {word}
    </span>
  );
}
