/** A scrape as data, and as much of PromQL as the dashboard and the alert rules use. */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Reads Prometheus' text format. */
export function parseMetrics(text: string): readonly Sample[] {
  return text.split("\n").flatMap((line) => {
    const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match === null) return [];
    const [, name = "", labels = "", value = ""] = match;
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(
      ([, key = "", quoted = ""]) => [key, quoted.replaceAll(/\\(.)/g, "$1")],
    );
    return [
      {
        name,
        labels: Object.fromEntries(pairs),
        value: value === "+Inf" ? Infinity : Number(value),
      },
    ];
  });
}

/** Types by name, from the `# TYPE` lines. */
export function parseTypes(text: string): ReadonlyMap<string, string> {
  return new Map(
    [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name = "", type = ""]) => [name, type]),
  );
}

/** Two scrapes, and the seconds between them. */
export interface Range {
  readonly before: readonly Sample[];
  readonly after: readonly Sample[];
  readonly seconds: number;
}

/** Evaluates an expression; throws SyntaxError on what it does not know. */
export function evaluate(expression: string, range: Range): readonly Sample[] {
  const parser = new Parser(expression, range);
  return parser.all();
}

class Parser {
  readonly #tokens: readonly string[];
  readonly #range: Range;
  #at = 0;

  constructor(text: string, range: Range) {
    this.#tokens = text.match(/"[^"]*"|=~|[\w.]+|\S/g) ?? [];
    this.#range = range;
  }

  all(): readonly Sample[] {
    const result = this.#filters();
    if (this.#at < this.#tokens.length) throw new SyntaxError(`Unexpected ${this.#peek()}`);
    return result;
  }

  #filters(): readonly Sample[] {
    let left = this.#comparison();
    while (this.#peek() === "and") {
      this.#take("and");
      this.#take("on");
      const labels = this.#names();
      const right = this.#comparison();
      const key = (sample: Sample): string => labels.map((name) => sample.labels[name]).join("\n");
      const keys = new Set(right.map(key));
      left = left.filter((sample) => keys.has(key(sample)));
    }
    return left;
  }

  #comparison(): readonly Sample[] {
    const left = this.#term();
    const operator = this.#peek();
    if (operator !== ">" && operator !== "<") return left;
    this.#take(operator);
    const limit = Number(this.#next());
    if (Number.isNaN(limit)) throw new SyntaxError("A number must follow a comparison");
    return left.filter(({ value }) => (operator === ">" ? value > limit : value < limit));
  }

  #term(): readonly Sample[] {
    const name = this.#next();
    switch (name) {
      case "sum":
        return this.#sum();
      case "rate":
      case "increase":
        return this.#inBrackets(() => this.#change(name === "rate"));
      case "absent":
        return this.#inBrackets(() =>
          this.#filters().length === 0 ? [{ name: "", labels: {}, value: 1 }] : [],
        );
      case "histogram_quantile":
        return this.#inBrackets(() => {
          const quantile = Number(this.#next());
          this.#take(",");
          return quantiles(this.#filters(), quantile);
        });
      default:
        return this.#selector(name, this.#range.after);
    }
  }

  #sum(): readonly Sample[] {
    this.#take("by");
    const labels = this.#names();
    const sums = new Map<string, Sample>();
    for (const sample of this.#inBrackets(() => this.#filters())) {
      const own = Object.fromEntries(labels.map((name) => [name, sample.labels[name] ?? ""]));
      const key = JSON.stringify(own);
      const value = (sums.get(key)?.value ?? 0) + sample.value;
      sums.set(key, { name: "", labels: own, value });
    }
    return [...sums.values()];
  }

  #change(perSecond: boolean): readonly Sample[] {
    const start = this.#at;
    const name = this.#next();
    const after = this.#selector(name, this.#range.after);
    this.#at = start + 1;
    const before = this.#selector(name, this.#range.before);
    this.#take("[");
    if (!/^\d+[smh]$/.test(this.#next())) throw new SyntaxError("A duration must follow");
    this.#take("]");
    return after.map(({ labels, value }) => {
      const key = JSON.stringify(labels);
      const old = before.find((sample) => JSON.stringify(sample.labels) === key)?.value ?? 0;
      const change = value - old;
      return { name: "", labels, value: perSecond ? change / this.#range.seconds : change };
    });
  }

  #selector(name: string, samples: readonly Sample[]): readonly Sample[] {
    if (!/^[a-z0-9_]+$/.test(name)) throw new SyntaxError(`Unexpected ${name}`);
    const tests: ((sample: Sample) => boolean)[] = [];
    if (this.#peek() === "{") {
      this.#take("{");
      while (this.#peek() !== "}") {
        const label = this.#next();
        const operator = this.#next();
        const value = this.#next().slice(1, -1);
        if (operator === "=") tests.push(({ labels }) => labels[label] === value);
        else if (operator !== "=~" || value !== "$job")
          throw new SyntaxError(`Unknown ${operator}`);
        if (this.#peek() === ",") this.#take(",");
      }
      this.#take("}");
    }
    return samples.filter((sample) => sample.name === name && tests.every((test) => test(sample)));
  }

  #names(): readonly string[] {
    const names: string[] = [];
    this.#take("(");
    while (this.#peek() !== ")") {
      names.push(this.#next());
      if (this.#peek() === ",") this.#take(",");
    }
    this.#take(")");
    return names;
  }

  #inBrackets(inner: () => readonly Sample[]): readonly Sample[] {
    this.#take("(");
    const result = inner();
    this.#take(")");
    return result;
  }

  #peek(): string | undefined {
    return this.#tokens[this.#at];
  }

  #next(): string {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new SyntaxError("Unexpected end");
    return token;
  }

  #take(token: string): void {
    const next = this.#next();
    if (next !== token) throw new SyntaxError(`Expected ${token}, not ${next}`);
  }
}

/** The bucket a quantile falls into. */
function quantiles(buckets: readonly Sample[], quantile: number): readonly Sample[] {
  const groups = Map.groupBy(buckets, ({ labels: { le: _le, ...others } }) =>
    JSON.stringify(others),
  );
  return [...groups].map(([key, group]) => {
    const total = Math.max(...group.map(({ value }) => value));
    const bounds = group
      .filter(({ value }) => value >= total * quantile)
      .map(({ labels }) => (labels["le"] === "+Inf" ? Infinity : Number(labels["le"])));
    return {
      name: "",
      labels: JSON.parse(key) as Record<string, string>,
      value: Math.min(...bounds),
    };
  });
}
