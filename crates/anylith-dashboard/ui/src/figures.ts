/** Numbers as people read them: three figures or so, and the unit that fits. */

/** `1.3/s` */
export function rate(perSecond: number): string {
  return `${plain(perSecond)}/s`;
}

/** `1.3`, `0`, `12,345` */
export function plain(number: number): string {
  if (number === 0) {
    return '0';
  }
  const size = Math.abs(number);
  return size < 0.095 ? number.toFixed(2) : size < 99.5 ? number.toFixed(1) : Math.round(number).toLocaleString('en');
}

/** A length in microseconds: `52 ns`, `9.8 µs`, `1.2 ms`. */
export function time(micros: number | null | undefined): string {
  if (micros == null) {
    return '–';
  }
  const [value, unit] =
    micros < 1 ? [micros * 1e3, 'ns'] : micros < 1e3 ? [micros, 'µs'] : micros < 1e6 ? [micros / 1e3, 'ms'] : [micros / 1e6, 's'];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/** `12.1 MiB` */
export function bytes(number: number): string {
  const kibibytes = number / 1024;
  const [value, unit] = number < 1024 ? [number, 'B'] : kibibytes < 1024 ? [kibibytes, 'KiB'] : kibibytes < 1024 ** 2 ? [kibibytes / 1024, 'MiB'] : [kibibytes / 1024 ** 2, 'GiB'];
  return `${value < 100 && unit !== 'B' ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/** `0.02 cores` */
export function cores(number: number): string {
  return `${number < 0.995 ? number.toFixed(2) : number.toFixed(1)} cores`;
}

/** `3 %`; of a share that is not 0 at least `<1 %`. */
export function percent(share: number): string {
  const hundredths = share * 100;
  return hundredths > 0 && hundredths < 1 ? '<1 %' : `${Math.round(hundredths)} %`;
}

/** `11:40:05` */
export function clock(atMs: number): string {
  return new Date(atMs).toLocaleTimeString('en-GB');
}
