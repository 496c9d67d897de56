/** Values as they may be shown: without secrets. */

/** Stands where a secret is. */
export const HIDDEN = "(hidden)";

const SECRET_PARAMETER = /key|secret|token|password|passphrase|seed|jwt|creds|sig|sas/i;

/** A URL without its password, and without the values of parameters that hold secrets. */
export function redactURL(url: string): string {
  return url
    .replace(/^([a-z][\w+.-]*:\/\/)([^/?#@]*)@/i, (_, scheme: string, user: string) => {
      const colon = user.indexOf(":");
      // A lone name before a NATS host is a token.
      if (colon < 0) return `${scheme}${/^nats/i.test(scheme) ? HIDDEN : user}@`;
      return `${scheme}${user.slice(0, colon)}:${HIDDEN}@`;
    })
    .replace(/([?&])([^=&#]+)=([^&#]*)/g, (all: string, mark: string, name: string) =>
      SECRET_PARAMETER.test(name) ? `${mark}${name}=${HIDDEN}` : all,
    );
}

/** A heartbeat URL: whoever knows its path can send the heartbeat, so that only the host is shown. */
export function redactHeartbeatURL(url: string): string {
  return url.replace(/^(https?:\/\/)(?:[^/?#@]*@)?([^/?#]*).*$/i, `$1$2/${HIDDEN}`);
}
