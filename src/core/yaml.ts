/** Reads and writes YAML. A bundle of its own: it is seldom needed. */
export { parse, stringify } from 'yaml';
