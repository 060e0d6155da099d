import { executorSettings, UserError } from '../core/errors.ts';

/** Where Prefect tells a flow run the image that it is in: `prefect.context.image`. */
const variable = 'PREFECT__CONTEXT__IMAGE';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The image that a run is in: the one that Prefect has told it.
 * @param run environment of the run, beside `own`, the extension's
 */
export const toldRunImage = (run: Environment, own: Environment = process.env): string | undefined =>
  run[variable] || own[variable] || undefined;

/** @param place where a run would be in an image that can be asked for, if there is one */
export function noRunImage(executor: { readonly name: string }, place?: string): UserError {
  return new UserError(
    'setting',
    `The executor "${executor.name}" wants the run's own image, but this run is in no image`,
    {
      hint: place
        ? `Name an image, set ${variable}, or run in ${place}.`
        : `Name an image, or set ${variable}.`,
      action: executorSettings,
    },
  );
}
