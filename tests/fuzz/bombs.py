"""Small files that would take all memory or never end, one function for each way to make one.

Each yields (name, bytes). They are written with the opcodes of pickle, since no library writes
such files; none of them runs anything anywhere.
"""
from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Iterator

import torch

Bomb = tuple[str, bytes]
P = b"\x80\x02"                         # protocol 2
MERSENNE = 2**61 - 1                    # whole numbers that differ by it share one hash


def name(module: str, what: str) -> bytes:
    return f"c{module}\n{what}\n".encode()


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def blob(data: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def put(index: int) -> bytes:
    return b"r" + struct.pack("<I", index)


def get(index: int) -> bytes:
    return b"j" + struct.pack("<I", index)


def doubled_texts() -> Iterator[Bomb]:
    """Each call joins the text before with itself."""
    for module, what in (("pathlib", "PosixPath"), ("torch", "device"),
                         ("pathlib", "PureWindowsPath")):
        out = P + text("a" * 64) + put(0)
        for step in range(40):
            out += name(module, what) + get(step) + get(step) + b"\x86R" + put(step + 1)
        yield f"doubled_{what}.pkl", out + b"."


def nested_blobs() -> Iterator[Bomb]:
    """Blobs within blobs, each read again and again."""
    magic = number(0x1950A86A20F9469CFC6C)
    inner = b""
    for depth in range(3):
        call = name("torch.storage", "_load_from_bytes") + b"h\x01\x85R0" if depth else b"N0"
        body = P + (blob(inner) + b"q\x01" if depth else b"N") + call * 2000 + b"N."
        inner = (P + magic + b"." + P + b"M\xe9\x03." + P + b"}." + body + P + b"].")
    yield "nested_blobs.pkl", P + blob(inner) + b"q\x010" + (
        name("torch.storage", "_load_from_bytes") + b"h\x01\x85R0") * 2000 + b"N."


def repeated_modules() -> Iterator[Bomb]:
    """Networks whose parts are one and the same part many times, level by level."""
    def network(modules: bytes) -> bytes:
        meta = (b"}(" + text("type") + text("class") + text("class_name") + text("Net")
                + text("state") + b"}(" + text("_parameters") + b"}" + text("_buffers") + b"}"
                + text("_modules") + modules + b"uu")
        return name("torch_utils.persistence", "_reconstruct_persistent_obj") + meta + b"\x85R"

    for fan, levels in ((4, 24), (2, 60), (30, 5)):
        out = P + network(b"}") + put(0) + b"0"
        for level in range(levels):
            parts = b"}(" + b"".join(text(f"m{i}") + get(level) for i in range(fan)) + b"u"
            out += network(parts) + put(level + 1) + b"0"
        both = b"}(" + text("mapping") + get(levels) + text("synthesis") + get(levels) + b"u"
        yield f"modules_{fan}_{levels}.pkl", out + b"}(" + text("G_ema") + network(both) + b"u."


def copies() -> Iterator[Bomb]:
    """One long container or text, copied by each of many calls."""
    long_list = b"](" + b"N" * 100_000 + b"e"
    table = b"}(" + b"".join(number(i) + b"N" for i in range(20_000)) + b"u"
    letters = text("a" * 400_000)
    for what, value, call in (
            ("list", long_list, ("builtins", "list")), ("tuple", long_list, ("builtins", "tuple")),
            ("set", b"](" + b"".join(map(number, range(30_000))) + b"e", ("builtins", "set")),
            ("dict", table, ("collections", "OrderedDict")),
            ("bytes", letters, ("_codecs", "encode")),
            ("bytearray", letters, ("builtins", "bytearray"))):
        many = (name(*call) + b"h\x01\x85R") * 10_000
        yield f"copies_{what}.pkl", P + value + b"q\x010(" + many + b"t."
    yield "copies_extend.pkl", P + b"](" + b"N" * 50_000 + b"eq\x01" + (b"(" + b"h\x01" * 50_000
                                                                         + b"e") * 40 + b"."


def equal_hashes() -> Iterator[Bomb]:
    """Keys that all have one hash, so that a table of n takes n * n comparisons."""
    keys = [number(i * MERSENNE) for i in range(1, 60_001)]
    yield "hashes_dict.pkl", P + b"}(" + b"".join(key + b"N" for key in keys) + b"u."
    yield "hashes_set.pkl", b"\x80\x04\x8f(" + b"".join(keys) + b"\x90."
    pairs = [number(i * MERSENNE) + b"N\x86" for i in range(1, 60_001)]
    yield "hashes_tuples.pkl", P + b"}(" + b"".join(key + b"N" for key in pairs) + b"u."
    floats = [b"G" + struct.pack(">d", float(i) * 2.0**61) for i in range(1, 60_001)]
    yield "hashes_floats.pkl", P + b"}(" + b"".join(key + b"N" for key in floats) + b"u."


def many_containers() -> Iterator[Bomb]:
    """A container, text or entry for each byte or two."""
    for what, code, count in (("lists", b"]", 4_000_000), ("dicts", b"}", 4_000_000),
                              ("sets", b"\x8f", 4_000_000), ("nones", b"N", 9_000_000),
                              ("marks", b"(", 4_000_000), ("dups", b"2", 4_000_000),
                              ("texts", b"\x8c\x00", 2_000_000), ("ints", b"M\xff\x7f", 1_300_000),
                              ("puts", b"Nr\x01\x02\x03\x04" + b"0", 600_000)):
        yield f"many_{what}.pkl", b"\x80\x04N(" + code * count + b"t."
    yield "many_memos.pkl", b"\x80\x04N" + b"\x94" * 4_000_000 + b"."
    yield "wide_text.pkl", P + text("\U0001f600" + "a" * 20_000_000) + b"."


def long_lines() -> Iterator[Bomb]:
    """Protocol 0: many lines just too long to be found at the first look."""
    yield "lines.pkl", b"(" + (b"V" + b"a" * 300 + b"\n0") * 60_000 + b"N."
    yield "digits.pkl", b"(L" + b"9" * 900_000 + b"L\nl."
    yield "float_line.pkl", b"(F" + b"9" * 900_000 + b"\nl."


def many_uses() -> Iterator[Bomb]:
    """One block of numbers, used for many tensors or arrays."""
    shared = torch.zeros(512, 512)
    layers = {f"style.{i}.weight": shared for i in range(1, 2001)}
    small = {"input.input": torch.zeros(1, 512, 4, 4), "conv1.conv.weight": shared}
    for legacy in (False, True):
        file = io.BytesIO()
        torch.save({"g_ema": {**layers, **small}}, file,
                   _use_new_zipfile_serialization=not legacy)
        yield f"shared_{'legacy' if legacy else 'zip'}.pt", file.getvalue()
    views = {f"a{i}": shared.flatten()[i:].view(-1) for i in range(3000)}
    file = io.BytesIO()
    torch.save(views, file)
    yield "views.pt", file.getvalue()
    expanded = {f"a{i}": torch.zeros(1).expand(60_000) for i in range(4000)}
    file = io.BytesIO()
    torch.save(expanded, file)
    yield "expanded.pt", file.getvalue()
    codes = {f"{i}.png": torch.zeros(1).expand(18, 512) for i in range(20_000)}
    file = io.BytesIO()
    torch.save(codes, file)
    yield "latents_expanded.pt", file.getvalue()
    raw = b"B" + struct.pack("<I", 400_000) + bytes(400_000) + b"q\x010"
    array = (name("numpy.core.multiarray", "_reconstruct") + name("numpy", "ndarray")
             + b"K\x00\x85C\x01b\x87R(K\x01M\xa0\x86\x85"
             + name("numpy", "dtype") + text("f4") + b"\x89\x88\x87R"
             + b"(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89h\x01tb")
    yield "arrays.pkl", P + raw + b"(" + array * 2000 + b"t."


def numbers_in_names() -> Iterator[Bomb]:
    """A number in a weight's name says how many layers there are."""
    small = torch.zeros(4, 4)
    trees = {
        "rosinality": {"g_ema": {"style.1.weight": small, "style.999999999.weight": small,
                                 "input.input": torch.zeros(1, 4, 4, 4),
                                 "conv1.conv.weight": torch.zeros(1, 4, 4, 3, 3),
                                 "conv1.conv.modulation.weight": small,
                                 "to_rgbs.999999999.conv.weight": small}},
        "e4e": {"state_dict": {"encoder.styles.0.linear.weight": small,
                               "encoder.styles.1000000000.linear.weight": small,
                               "encoder.latlayer1.weight": small}, "latent_avg": torch.zeros(4)},
        "e4e_power": {"state_dict": {"encoder.styles.0.linear.weight": small,
                                     "encoder.styles.4000.linear.weight": small,
                                     "encoder.latlayer1.weight": small},
                      "latent_avg": torch.zeros(4)},
        "irse": {"input_layer.0.weight": small, "body.0.res_layer.5.fc1.weight": small,
                 "body.9999999999.x": small, "output_layer.3.weight": small},
        "mapper": {"state_dict": {f"mapper.course_mapping.mapping.{n}.weight": small
                                  for n in (1, 10**9)}, "opts": {"stylegan_size": 1 << 60}},
        "authors": {"state_dict": {"rnn.fc1.weight": small, "mapper.t_mapper.1.weight": small,
                                   "mapper.t_mapper.1000000000.weight": small}},
        "huggingface": {"text_model.embeddings.token_embedding.weight": small,
                        "vision_model.embeddings.patch_embedding.weight":
                            torch.zeros(4, 3, 2, 2),
                        "text_model.encoder.layers.999999999.layer_norm1.weight": small},
        "nvidia_state": {"mapping.fc0.weight": small, "mapping.fc999999999.weight": small,
                         "synthesis.b4.const": torch.zeros(4, 4, 4),
                         "synthesis.b1073741824.conv1.weight": torch.zeros(4, 4, 3, 3)},
    }
    blocks = {f"transformer.resblocks.{i}.ln_1.weight": torch.zeros(64) for i in range(2000)}
    blocks |= {f"visual.transformer.resblocks.{i}.ln_1.weight": torch.zeros(64)
               for i in range(2000)}
    trees["clip_blocks"] = {
        **blocks, "input_resolution": torch.tensor(224), "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(49408), "token_embedding.weight": torch.zeros(500, 64),
        "positional_embedding": torch.zeros(77, 64), "text_projection": torch.zeros(64, 64),
        "ln_final.weight": torch.zeros(64), "visual.proj": torch.zeros(64, 64),
        "visual.conv1.weight": torch.zeros(64, 3, 32, 32),
        "visual.positional_embedding": torch.zeros(50, 64)}
    for what, tree in trees.items():
        file = io.BytesIO()
        torch.save(tree, file)
        yield f"numbers_{what}.pt", file.getvalue()


def directories() -> Iterator[Bomb]:
    """Zip archives of very many entries, and of entries that unpack to very much."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, 2))
        for i in range(120_000):
            archive.writestr(f"archive/data/{i}", b"")
    yield "directory.pt", file.getvalue()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(300_000_000))
    yield "deflated.pt", file.getvalue()


def header(content: bytes, data: bytes = b"") -> bytes:
    """A safetensors file of that header and data."""
    return struct.pack("<Q", len(content)) + content + data


def safetensors_headers() -> Iterator[Bomb]:
    """Headers with very long numbers, very many entries, or deep ones."""
    digits = b"9" * 4000
    shape = b"[" + b",".join([digits] * 1000) + b"]"
    yield "s_bigshape.safetensors", header(
        b'{"a":{"dtype":"F32","shape":' + shape + b',"data_offsets":[0,16]}}', bytes(16))
    yield "s_lists.safetensors", header(b'{"a":[' + b"[]," * 6_000_000 + b"[]]}")
    yield "s_objects.safetensors", header(b'{"a":[' + b"{}," * 2_000_000 + b"[]]}")
    yield "s_zeros.safetensors", header(b'{"a":[' + b"0," * 5_000_000 + b"0]}")
    yield "s_deep.safetensors", header(b'{"a":' + b"[" * 3_000_000)
    inner = json.dumps("[" + "[]," * 6_000_000 + "[]]").encode()
    yield "s_own_lists.safetensors", header(
        b'{"__metadata__":{"lgfa":' + inner + b'},"a":{"dtype":"F32","shape":[4],'
        b'"data_offsets":[0,16]}}', bytes(16))


def own_settings() -> Iterator[Bomb]:
    """Headers of our own kind whose settings describe far more than the file holds."""
    sizes = {
        "generator": {"config": {"resolution": 1024, "channels": [900_000] * 9,
                                 "w_dim": 900_000, "mapping_layers": 64}},
        "encoder": {"config": {"num_layers": 256, "resolution": 1024, "units": [256] * 60,
                               "widths": [512] * 61, "input_size": 256}},
        "identity": {"config": {"units": [900_000], "widths": [4, 4], "input_size": 8}},
        "motion": {"config": {"mapper_depth": 999_999, "hidden": 999_999}},
        "clip": {"config": {"embed_dim": 8, "vision_cfg": {"layers": 100, "width": 900_000},
                            "text_cfg": {"layers": 100, "context_length": 900_000}}},
        "mapper": {"config": {"depth": 999_999, "w_dim": 999_999}},
        "mocogan": {"config": {"hidden": 999_999, "components": 999_999, "w_dim": 999_999}},
        "attributes": {"config": {"widths": [900_000] * 60}},
    }
    for kind, config in sizes.items():
        text = json.dumps({"kind": kind, "version": 1, **config})
        content = json.dumps({"__metadata__": {"lgfa": text},
                              "a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}})
        yield f"own_{kind}.safetensors", header(content.encode(), bytes(16))


def numpy_headers() -> Iterator[Bomb]:
    """Arrays that claim to be far larger than their file, or have endless headers."""
    def array(shape: str, descr: str = "<f4", version: int = 1, pad: int = 0) -> bytes:
        head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
        head += b" " * pad + b"\n"
        size = struct.pack("<H" if version == 1 else "<I", len(head))
        return b"\x93NUMPY" + bytes([version, 0]) + size + head + bytes(64)

    yield "shape.npy", array("(1000000000, 1000000)")
    yield "power.npy", array("(2**64,)")
    yield "many.npy", array("(" + "1," * 2000 + ")")
    yield "pad.npy", array("(4,)", version=2, pad=30_000_000)
    yield "deep.npy", array("(" * 9000 + ")" * 9000)
    yield "digits.npy", array("(" + "9" * 5000 + ",)")


def hub_headers() -> Iterator[Bomb]:
    """Settings that would fetch a model or run its code."""
    for what, config in {
        "hf": {"text_cfg": {"hf_model_name": "someone/tracker"}},
        "hf_folder": {"text_cfg": {"hf_model_name": "/tmp"}},
        "tokenizer": {"text_cfg": {"hf_tokenizer_name": "someone/tracker"}},
        "tokenizer_kwargs": {"text_cfg": {"tokenizer_kwargs": {"trust_remote_code": True}}},
        "timm": {"vision_cfg": {"timm_model_name": "hf-hub:someone/tracker", "image_size": 32}},
        "timm_plain": {"vision_cfg": {"timm_model_name": "resnet18", "image_size": 32}},
        "timm_folder": {"vision_cfg": {"timm_model_name": "local-dir:/tmp"}},
        "option": {"options": {"multimodal_cfg": {"hf_model_name": "someone/tracker"}}},
        "unknown": {"options": {"pretrained_hf": True}},
    }.items():
        for kind, key in (("clip", "config"), ("motion", "clip_config")):
            own = {"kind": kind, "version": 1, "config": {}}
            own[key] = {"embed_dim": 8, **config}
            content = json.dumps({"__metadata__": {"lgfa": json.dumps(own)},
                                  "a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}})
            yield f"hub_{what}_{kind}.safetensors", header(content.encode(), bytes(16))


KINDS = (doubled_texts, nested_blobs, repeated_modules, copies, equal_hashes, many_containers,
         long_lines, many_uses, numbers_in_names, directories, safetensors_headers, own_settings,
         numpy_headers, hub_headers)
