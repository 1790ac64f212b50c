"""Routes and fields of five older services, for clients that know nothing else: ``--compat NAME``.

Pictures, answers and refusals are ours; only names differ. One short file for each.
"""
