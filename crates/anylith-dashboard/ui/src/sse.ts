/** One event of a stream of server-sent events. */
export interface ServerEvent {
  name: string;
  data: string;
}

/** Takes a stream of server-sent events apart, in whatever pieces it comes. */
export class EventParser {
  private rest = '';
  private name = '';
  private data: string[] = [];

  /** The events that are complete with `text`. */
  feed(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const raw of lines) {
      const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
      if (line === '') {
        if (this.data.length > 0) {
          events.push({ name: this.name || 'message', data: this.data.join('\n') });
        }
        this.name = '';
        this.data = [];
        continue;
      }
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') {
        this.name = value;
      } else if (field === 'data') {
        this.data.push(value);
      }
    }
    return events;
  }
}
