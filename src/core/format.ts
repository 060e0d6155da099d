/** `00:31`, `12:05`, `1:02:03`. */
export function formatDuration(durationMs: number): string {
  const seconds = Math.max(0, Math.floor(durationMs / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n: number) => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${two(m)}:${two(s)}`;
}

/** `1.8 s`, `45 s`, `10 min`, `1 h`, `1.5 h`, `2 d`: a length of time that is a rule, or an age. */
export function formatSpan(seconds: number): string {
  const round = (value: number) => String(Math.round(value * 10) / 10);
  if (seconds < 59.5) return `${seconds < 9.95 ? round(seconds) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${round(seconds / 60)} min`;
  return seconds < 48 * 3600 ? `${round(seconds / 3600)} h` : `${round(seconds / 86_400)} d`;
}

/** `412 MiB`, `4 GiB`, `1.5 GiB`: binary units, as Dask shows them. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const text = value >= 10 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
  return `${text} ${units[unit]}`;
}

/** `10:41`, by the 24-hour clock of this machine. */
export function formatClock(timeMs: number): string {
  const date = new Date(timeMs);
  return `${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}`;
}
