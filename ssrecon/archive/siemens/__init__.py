"""Siemens raw data (twix): ``siemens.py`` is the format, ``protocol.py`` reads the protocol by an allow-list, ``twix_file.py`` the bytes.

In comes a ``.dat`` file of software VB to XA. Its lines get the header fields of ISMRMRD, so that `ssrecon.archive.cartesian` does the
rest; the patient's name and number are not kept.
"""
